"""Loss, a component for anokit."""
