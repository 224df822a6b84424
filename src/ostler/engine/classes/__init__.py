"""The loaded ServiceClasses and whether they fit the tools that servers list. Files are read in the adapters."""
