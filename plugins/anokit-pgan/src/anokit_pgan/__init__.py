"""Progressive GAN with a jointly trained encoder, for anokit."""
