"""Principal components of training rows, by scikit-learn."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA

from anokit.errors import DataError

FULL_LIMIT = 2e9
"""Largest N · D · min(N, D) for a full decomposition: seconds on two cores."""

RANDOMISED_COMPONENTS = 512
"""Components that a randomised decomposition looks for where a share of variance is asked for."""

Array = npt.NDArray[np.float32]


class Components(NamedTuple):
    """A mean, and directions of decreasing variance from it."""

    mean: Array
    """``[D]``"""
    directions: Array
    """``[K, D]``, orthonormal"""
    variances: Array
    """``[K]`` of the training rows along the directions"""


def principal_components(rows: Array, kept: float) -> Components:
    """Return mean and principal components of ``[N, D]``.

    ``kept`` below 1 is the share of variance that K components explain, else K itself. A large set
    (`FULL_LIMIT`) is decomposed by randomised SVD with a fixed seed, into at most
    `RANDOMISED_COMPONENTS` where a share is asked for. Rows that are all alike have K = 0.
    """
    mean = rows.mean(axis=0)
    count, width = rows.shape
    if np.array_equal(rows.min(axis=0), rows.max(axis=0)):
        return Components(mean, np.zeros((0, width), np.float32), np.zeros(0, np.float32))
    if count * width * min(count, width) <= FULL_LIMIT:
        with np.errstate(invalid="ignore"):  # where squares of the least numbers are 0
            pca = PCA(kept if kept < 1 else int(kept), svd_solver="full").fit(rows)
        found = len(pca.components_)
    else:
        found = int(kept) if kept >= 1 else min(RANDOMISED_COMPONENTS, count, width)
        pca = PCA(found, svd_solver="randomized", random_state=0).fit(rows)
        if kept < 1:
            explained = np.cumsum(pca.explained_variance_ratio_)
            found = int(np.searchsorted(explained, kept, side="right")) + 1
    # LAPACK's arrays are column-major, which files of tensors do not take.
    directions = np.ascontiguousarray(pca.components_[:found])
    return Components(pca.mean_, directions, pca.explained_variance_[:found])


def check_count(name: str, kept: float, rows: npt.NDArray[np.float32]) -> None:
    """Check that N rows of D values can have ``kept`` components.

    Raises
    ------
    DataError
        Where they cannot.
    """
    if kept > min(rows.shape):
        raise DataError(
            f"score '{name}': components = {kept}, but {rows.shape[0]} training vectors of "
            f"{rows.shape[1]} values have at most {min(rows.shape)}: set components lower"
        )
