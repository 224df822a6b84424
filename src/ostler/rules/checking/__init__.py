"""The static check of a class against the JSON Schemas of the tools it calls; no tool is called."""
