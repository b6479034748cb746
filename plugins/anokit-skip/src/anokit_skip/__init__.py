"""Skip-connected encoder-decoder GANs (Skip-GANomaly), for anokit."""
