"""What is said of the values of images: clipped, dark, of one grey level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from anokit_datasets.resizing import UInt8

NAMED = 3
"""Masks that a notice names; the rest is counted."""
DARK = 32
"""Grey value that some training image should reach; else a wrong white level is likely."""
FLAT = 4
"""Grey levels between the darkest and the brightest pixel of an image that shows nearly nothing."""


def about_clipping(clipped: Mapping[int, tuple[float, float]], total: int, name: str) -> list[str]:
    """Return a sentence where values of some images lie outside of what becomes 0 to 255."""
    if not clipped:
        return []
    low = min(pair[0] for pair in clipped.values())
    high = max(pair[1] for pair in clipped.values())
    text = (
        f"{len(clipped)} of {total} {name} images hold values that are clipped, {low:g} at the "
        f"least and {high:g} at most; black_level and white_level under [dataset] say which values "
        "become 0 and 255"
    )
    return [text]


def about_contrast(darkest: UInt8, brightest: UInt8, name: str) -> list[str]:
    """Return sentences where all images are dark, or some show (nearly) a single grey level."""
    said = []
    if brightest.max() < DARK:
        said.append(
            f"no {name} image is brighter than {brightest.max()} of 255; "
            "where a 16-bit file holds 12 bits, say, set white_level = 4095"
        )
    elif (brightest.astype(int) - darkest < FLAT).all():
        said.append(
            f"all {len(brightest)} {name} images are of (nearly) one grey level; check the files, "
            "and black_level and white_level under [dataset] where they hold more than 8 bits"
        )
    return said


def about_sizes(resized: Sequence[str], total: int) -> list[str]:
    """Return a sentence where masks were brought to the sizes of their images."""
    if not resized:
        return []
    text = (
        f"{len(resized)} of {total} masks are of another size than their images and were resized "
        f"by nearest neighbour: {', '.join(resized[:NAMED])}"
    )
    return [text + (", …" if len(resized) > NAMED else "")]
