"""Anomaly scores Ln, Lo, Lr, A and others, for anokit."""
