"""Layer 2, the rules: loading, templates, extraction, expectations, planning. Pure functions over the model."""
