"""Image datasets for anokit: CIFAR-10, KTH-Cellvideos, digits, any image folder."""
