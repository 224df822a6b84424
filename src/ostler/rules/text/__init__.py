"""Text with places: YAML sources, patterns, comparisons, findings. What a manifest means does not belong here."""
