"""From scores to results: thresholds, metrics, intervals. Labels are read here and only here."""
