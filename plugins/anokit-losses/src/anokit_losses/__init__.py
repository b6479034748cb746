"""Encoder losses dI and dz, for anokit."""
