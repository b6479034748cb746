"""Angle, a component for anokit."""
