"""Image sets and image files for authors of datasets."""

from anokit.data.arrays import ArraySplit, seeded_order
from anokit.data.finding import expand, find_images, is_image, look_through
from anokit.data.masks import try_to_decode_mask
from anokit.data.pictures import (
    LUMA,
    Picture,
    header_size,
    quiet,
    try_to_decode,
    with_channels,
)
from anokit.data.tiffs import read_tiff

__all__ = [
    "LUMA",
    "ArraySplit",
    "Picture",
    "expand",
    "find_images",
    "header_size",
    "is_image",
    "look_through",
    "quiet",
    "read_tiff",
    "seeded_order",
    "try_to_decode",
    "try_to_decode_mask",
    "with_channels",
]
