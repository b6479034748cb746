"""Find plugins, load them, and look their components up. Torch-free."""
