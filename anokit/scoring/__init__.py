"""From trained weights to scores: round trips, fits, maps. No label is read here."""
