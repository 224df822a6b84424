"""The stacks of tests/projects, each brought up, broken and taken down with real programs."""
