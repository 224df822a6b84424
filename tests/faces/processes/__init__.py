"""Real processes for the tests of bridge, server and command line."""
