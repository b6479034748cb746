"""Geometric transformations that a network tells apart (GEOM)."""
