"""Discriminators that judge images (ALOCC, Fence GAN), for anokit."""
