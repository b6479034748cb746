"""What this package offers to anokit. Torch-free: the datasets themselves are imported on use."""

from __future__ import annotations

from anokit.plugin import Component, hookimpl
from anokit.types import ImageSpec
from anokit_datasets.options import Cifar10Options, DigitsOptions, KthOptions
from anokit_datasets.picture_options import CsvManifestOptions, ImageFolderOptions, PictureOptions


@hookimpl
def anokit_datasets() -> list[Component]:
    """Return the datasets of this package."""
    return [
        Component(
            name="digits",
            summary="1,797 handwritten digits that scikit-learn ships; needs no files",
            factory="anokit_datasets.digits:digits",
            options=DigitsOptions,
            example={"normal": [0]},
            image_spec=digits_spec,
            reference="Alpaydin, Kaynak: Optical Recognition of Handwritten Digits, UCI 1998",
        ),
        Component(
            name="cifar10",
            summary="CIFAR-10, some classes normal and the others anomalous",
            factory="anokit_datasets.cifar10:cifar10",
            options=Cifar10Options,
            example={"root": "data", "normal": ["automobile"]},
            image_spec=cifar10_spec,
            reference="Krizhevsky 2009; protocols of Berg et al. and of Akcay et al.",
        ),
        Component(
            name="kth-cellvideos",
            summary="crops of tracked cells (normal) and debris (anomalous) in microwells",
            factory="anokit_datasets.kth:kth_cellvideos",
            options=KthOptions,
            example={
                "root": "data/kth",
                "test_size": 32,
                "simulated_sequences": 2,
                "simulated_frames": 12,
            },
            image_spec=kth_spec,
            simulate="anokit_datasets.simulation:simulated_kth",
            reference="Berg et al., section 4.1; format of the Baxter Algorithms",
        ),
        Component(
            name="image-folder",
            summary="any folder of images, with or without a labelled test set; MVTec AD's layout",
            factory="anokit_datasets.folder:image_folder",
            options=ImageFolderOptions,
            example={"root": "data/rbc12", "size": 64},
            image_spec=folder_spec,
            reader="anokit_datasets.reader:folder_reader",
        ),
        Component(
            name="csv-manifest",
            summary="images that a CSV table lists, with their labels, masks, splits and kinds",
            factory="anokit_datasets.manifest:csv_manifest",
            options=CsvManifestOptions,
            example={"manifest": "data/manifest.csv", "size": 64},
            image_spec=folder_spec,
            reader="anokit_datasets.reader:folder_reader",
        ),
    ]


def digits_spec(options: DigitsOptions) -> ImageSpec:
    """Return the shape of the digits."""
    return ImageSpec(1, options.size, options.size)


def cifar10_spec(options: Cifar10Options) -> ImageSpec:
    """Return the shape of CIFAR-10's images."""
    return ImageSpec(3, options.size, options.size)


def kth_spec(options: KthOptions) -> ImageSpec:
    """Return the shape of the crops."""
    return ImageSpec(1, options.size, options.size)


def folder_spec(options: PictureOptions) -> ImageSpec | None:
    """Return the shape where the options set both size and channels; else the files decide."""
    if options.side is None or options.channels == "auto":
        return None
    return ImageSpec(options.channels, options.side, options.side)
