"""Image sets and image files for authors of datasets."""

from anokit.data.arrays import ArraySplit, seeded_order
from anokit.data.finding import (
    Found,
    expand,
    find_images,
    look_through,
    match_images,
)
from anokit.data.levels import LUMA, with_channels
from anokit.data.masks import try_to_decode_mask
from anokit.data.pictures import Picture, header_size, try_to_decode
from anokit.data.quiet import quiet
from anokit.data.suffixes import is_image
from anokit.data.tiffs import read_tiff

__all__ = [
    "LUMA",
    "ArraySplit",
    "Found",
    "Picture",
    "expand",
    "find_images",
    "header_size",
    "is_image",
    "look_through",
    "match_images",
    "quiet",
    "read_tiff",
    "seeded_order",
    "try_to_decode",
    "try_to_decode_mask",
    "with_channels",
]
