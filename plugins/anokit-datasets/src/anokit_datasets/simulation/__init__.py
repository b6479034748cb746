"""A simulated stand-in for KTH-Cellvideos, written in its format and read by the same reader."""

from anokit_datasets.simulation.dataset import simulated_kth

__all__ = ["simulated_kth"]
