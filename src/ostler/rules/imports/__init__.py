"""A project's services from the files that its folder has for other tools. Nothing is read from disk here."""
