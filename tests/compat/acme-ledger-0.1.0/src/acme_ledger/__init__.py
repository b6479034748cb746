"""Ledger, a component for anokit."""
