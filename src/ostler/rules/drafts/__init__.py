"""A first class from the tools or the recorded calls of a server. Checks of the draft belong to `checking`."""
