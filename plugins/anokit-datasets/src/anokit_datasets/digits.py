"""The 1,797 handwritten digits, 8×8 pixels, that scikit-learn's wheel ships."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits

from anokit.data import ArraySplit, seeded_order
from anokit.types import ImageSpec
from anokit_datasets.options import DigitsOptions
from anokit_datasets.resizing import bilinear
from anokit_datasets.source import Source


def digits(options: DigitsOptions) -> Source:
    """Return the digits, ``options.normal`` against the rest.

    Grey values 0 to 16 become 0 to 255; other sizes than 8 are bilinear (with antialiasing below
    8). A seeded ``test_share`` of the normal digits and of the others is the test set; the other
    normal digits are the training set, the other anomalous ones the contaminants.

    Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI 1998 (test part).
    """
    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
    images = bilinear(images, options.size, options.size)
    kinds = [str(digit) for digit in bunch.target]
    normal = np.isin(bunch.target, options.normal)

    def split(chosen: npt.NDArray[np.int64], labels: Sequence[int] | None = None) -> ArraySplit:
        return ArraySplit(
            images[chosen],
            [f"digits/{kinds[i]}/{i:04d}" for i in chosen],
            labels=labels,
            kinds=[kinds[i] for i in chosen],
        )

    train, test_normal = held_out(np.flatnonzero(normal), options, "normal")
    contaminants, test_anomalous = held_out(np.flatnonzero(~normal), options, "anomalous")
    return Source(
        spec=ImageSpec(1, options.size, options.size),
        train=split(train),
        contaminants=split(contaminants),
        test=split(
            np.concatenate([test_normal, test_anomalous]),
            [0] * len(test_normal) + [1] * len(test_anomalous),
        ),
        protocol="one-class"
        if len(options.normal) == 1
        else f"{len(options.normal)} normal classes",
    )


def held_out(
    indices: npt.NDArray[np.int64], options: DigitsOptions, side: str
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Divide ``indices`` by seed into (kept, held out), each ascending and with at least one."""
    count = min(max(round(options.test_share * len(indices)), 1), len(indices) - 1)
    order = seeded_order(len(indices), options.draw_seed, "digits", side)
    return indices[np.sort(order[count:])], indices[np.sort(order[:count])]
