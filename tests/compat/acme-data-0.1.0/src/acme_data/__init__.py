"""Data, a component for anokit."""
