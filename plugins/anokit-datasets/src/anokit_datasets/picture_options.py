"""Options of the datasets that read image files. Torch-free."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from anokit.plugin import Options

LEAST_TILE = 16
"""Least side of a tile, in pixels of the photograph."""


class Tiles(Options):
    """How `image-folder` cuts large photographs up."""

    size: int = Field(
        256,
        ge=LEAST_TILE,
        le=4096,
        description="side of a tile in pixels of the photograph, 16 to 4096",
    )
    overlap: int = Field(
        32, ge=0, description="pixels that neighbouring tiles share, 0 to size - 1"
    )

    @model_validator(mode="after")
    def _tiles_go_on(self) -> Self:
        if self.overlap >= self.size:
            raise ValueError(
                f"tiles that overlap by {self.overlap} pixels never get further than their size, "
                f"{self.size}; set overlap below it, to {self.size // 8}, say"
            )
        return self


class Places(Options):
    """Where `image-folder` finds images."""

    root: str | None = Field(
        None, description="folder of images; this or `files`, relative to the working directory"
    )
    files: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="instead of `root`: image files and patterns such as `photos/*.jpg`, relative "
        "to the working directory; all are training images, in natural order, each once",
    )

    @model_validator(mode="after")
    def _root_or_files(self) -> Self:
        if (self.root is None) == (self.files is None):
            got = "neither" if self.root is None else "both"
            raise ValueError(
                f"expected either `root` (a folder) or `files` (a list of files and patterns), got "
                f"{got}; " + ('set root = "images", say' if got == "neither" else "remove one")
            )
        return self


class PictureOptions(Options):
    """How image files become images, whoever names the files."""

    size: int | None = Field(
        None,
        ge=4,
        le=4096,
        description="side of the square images that come out, in pixels; unset, the size of the "
        "tiles, or without tiles the size that all images of the folder share",
    )
    tiles: Tiles | None = Field(
        None,
        description="cut large photographs into overlapping tiles at full resolution, each of them "
        "one image: { size = 256, overlap = 32 }, the side of a tile (16 to 4096) and what "
        "neighbours share (0 to size - 1), in pixels; `resize` is of no use then. A photograph "
        "smaller than a tile is an error",
    )
    resize: Literal["stretch", "crop", "pad"] = Field(
        "stretch",
        description="how an image becomes square: stretch it; crop: scale its shorter side, keep "
        "the centre; pad: scale its longer side, repeat the edges",
    )
    channels: Literal["auto"] | Annotated[int, Field(ge=1, le=64)] = Field(
        "auto",
        description="channels that come out; auto: as in the files, which must agree. 1 turns "
        "colour to grey, 3 repeats grey and drops alpha, any other number is only checked",
    )
    white_level: float | None = Field(
        None,
        description="value that becomes 255 in images of more than 8 bits; unset, the largest of "
        "the type: 65535 for 16 bits, and for wider integers; 1.0 for floats",
    )
    black_level: float = Field(
        0.0,
        description="value that becomes 0 in images of more than 8 bits, below `white_level`; with "
        "white_level = 320, black_level = 280 temperatures in kelvin have contrast",
    )
    max_train: int | None = Field(
        None,
        ge=1,
        description="train on a seeded subset of at most this many files (photographs, not tiles)",
    )
    max_test: int | None = Field(
        None,
        ge=2,
        description="test on a seeded subset of at most this many files, in the same proportions",
    )
    draw_seed: int = Field(0, ge=0, description="seed of the subsets")
    cache: str | None = Field(
        None,
        description="folder for the temporary file that images of more than 1 GiB are decoded "
        "into; unset, the system's folder for temporary files",
    )

    @model_validator(mode="after")
    def _black_below_white(self) -> Self:
        if self.white_level is not None and self.black_level >= self.white_level:
            raise ValueError(
                f"black_level = {self.black_level:g} is not below white_level = "
                f"{self.white_level:g}; lower it"
            )
        return self

    @property
    def side(self) -> int | None:
        """Return the side of the images that come out, where the options tell."""
        return self.tiles.size if self.size is None and self.tiles is not None else self.size


class ImageFolderOptions(PictureOptions, Places):
    """Options of ``image-folder``."""

    accept_defects: bool = Field(
        False,
        description="train on folders that are called after defects or masks (bad, mask …), "
        "which is an error otherwise",
    )
    validation: Literal["leave", "train", "test"] = Field(
        "leave",
        description="what validation/ beside train/ is for, normal images as in MVTec AD 2 and "
        "LOCO: leave it out, train on it too, or test on it as normal",
    )


class Manifest(Options):
    """Where `csv-manifest` finds images."""

    manifest: str = Field(
        description="CSV file with a column path and, optionally, label, mask, split and kind; "
        "paths are relative to its folder",
    )


class CsvManifestOptions(PictureOptions, Manifest):
    """Options of ``csv-manifest``."""
