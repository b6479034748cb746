"""Scores that remember the training set: nearest neighbours and Mahalanobis distance, for anokit."""
