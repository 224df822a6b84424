"""Class tests: the real engine over scripted answers, on a clock that does not wait; and recording one.

The tests of Ostler itself are in `tests/`.
"""
