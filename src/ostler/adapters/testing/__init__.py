"""Class tests: the real engine over scripted answers, on a clock that does not wait."""
