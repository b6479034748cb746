"""The components that this package offers, described without importing torch."""
