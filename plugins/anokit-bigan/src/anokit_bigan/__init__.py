"""Bidirectional GANs (BiGAN, ALI, EGBAD, ALAD)."""
