"""What lies on disk: the run directory and its files, written atomically, never pickled."""
