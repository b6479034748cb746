"""Classical density estimators on any field of the round trip, for anokit."""
