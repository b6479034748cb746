"""From a recipe file to a checked `Recipe`. Torch-free."""
