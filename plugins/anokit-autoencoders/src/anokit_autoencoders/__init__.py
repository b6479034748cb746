"""Convolutional, variational and adversarial autoencoders."""
