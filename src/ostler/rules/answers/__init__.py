"""What a tool answered: normalised, values taken out of it, expectations checked.

Which answers are possible at all, before a call, belongs to `checking`.
"""
