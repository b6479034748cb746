"""Scores that remember the training set: nearest neighbours, Mahalanobis distance, PaDiM."""
