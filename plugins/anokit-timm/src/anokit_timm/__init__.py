"""Image models of timm as frozen feature extractors, for anokit."""
