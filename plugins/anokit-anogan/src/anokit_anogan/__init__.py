"""AnoGAN and its kin (f-AnoGAN, ADGAN), for anokit."""
