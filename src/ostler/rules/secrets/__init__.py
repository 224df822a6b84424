"""Which texts must not be shown, and masking them. Nothing here imports another folder of the rules."""
