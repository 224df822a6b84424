"""What a tool answered: normalised, values taken out of it, expectations checked."""
