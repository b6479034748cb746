"""Model, a component for anokit."""
