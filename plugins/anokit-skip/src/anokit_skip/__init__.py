"""Encoder-decoder GANs (Skip-GANomaly, GANomaly), for anokit."""
