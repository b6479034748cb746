"""KTH-Cellvideos: crops of tracked cells and debris, read from the Baxter Algorithms' export."""

from anokit_datasets.kth.dataset import kth_cellvideos

__all__ = ["kth_cellvideos"]
