"""From the text of a file to classes, static services and class tests, with all findings."""
