"""Raw pixels in the place of a model, for anokit."""
