"""Laws are tried without a time limit per example: the machine is shared, and the limits that matter have tests."""

from hypothesis import settings

settings.register_profile("laws", deadline=None)
settings.load_profile("laws")
