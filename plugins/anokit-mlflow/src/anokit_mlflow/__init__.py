"""A watcher for anokit that writes what a run measures to MLflow."""
