"""Trips of a finished run's test images, made again from its stored weights and its own data."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from anokit.data.pixels import to_uint8
from anokit.data.preparing import prepare
from anokit.data.sets import Rows, RunData, TestSet
from anokit.errors import CheckpointError
from anokit.plugin import resolve_fields
from anokit.runs.opened import open_run
from anokit.scoring.scorer import Scorer
from anokit.scoring.trips import Trips
from anokit.training.backbone import GuardedBackbone, load_backbone
from anokit.training.device import resolve_device
from anokit.watching import NOBODY, Watcher

Floats = npt.NDArray[np.float64]
Images = npt.NDArray[np.uint8]


def by_hash(ids: Iterable[str]) -> list[str]:
    """Return ids in the order of their SHA-256: the choice of a prefix knows no score and no run.

    >>> by_hash(["one", "two", "three"]) == by_hash(["three", "two", "one"])
    True
    """
    return sorted(ids, key=lambda name: hashlib.sha256(name.encode()).digest())


class TripsAgain:
    """A finished run whose test images make their trips through its backbone again.

    The data are read, and the weights are loaded, when the first trip is asked for. Arguments and
    errors are those of `open_run`.
    """

    def __init__(
        self,
        run: Path,
        watcher: Watcher = NOBODY,
        *,
        device: str = "auto",
        plugins: Sequence[Path] = (),
        trust_plugins: bool = False,
    ) -> None:
        self.opened = open_run(run, plugins=plugins, trust_plugins=trust_plugins)
        self.recipe = self.opened.recipe(baselines=[])
        self.watcher = watcher
        self.device = resolve_device(device)

    def lacks(self, needs: Iterable[str]) -> list[str]:
        """Return which fields of a round trip the backbone does not fill."""
        part = self.recipe.backbone
        filled = resolve_fields(part.entry.component.provides, part.options) | {"image"}
        return sorted(set(needs) - filled)

    @cached_property
    def data(self) -> RunData:
        """Return the run's own data, read again.

        Raises
        ------
        CheckpointError
            Where they are not those that the run began with.
        DataError
            Where they are not there or cannot be read.
        """
        found = prepare(self.recipe.dataset, self.recipe.seed, self.watcher)
        self.opened.directory.check_same_data(found.fingerprint)
        return found

    @cached_property
    def backbone(self) -> GuardedBackbone:
        """Return the backbone with the stored weights."""
        weights = self.opened.directory.model
        return load_backbone(self.recipe, self.opened.spec, self.device, weights)

    def latents(self, ids: Sequence[str]) -> Floats:
        """Return the latents of test images, ``[N, Z]``."""
        trips = self._trips(ids, frozenset({"latent"}))
        return np.concatenate([trip.latent.cpu().double().numpy() for trip in trips])

    def losses(self, ids: Sequence[str]) -> Floats:
        """Return d_I and d_z of test images, ``[N, 2]``.

        d_I is mean |x − G(E(x))| over pixels and channels, images in [-1, 1]; d_z is
        mean |E(x) − E(G(E(x)))| over the components of the latent. They are the encoder losses of
        Berg, Ahlberg, Felsberg with a test image x in the place of a generated one.
        """
        needs = frozenset({"image", "image_hat", "latent", "latent_hat"})
        found = []
        for trip in self._trips(ids, needs):
            pairs = ((trip.image, trip.image_hat), (trip.latent, trip.latent_hat))
            means = [(one - other).abs().flatten(1).mean(dim=1) for one, other in pairs]
            found.append(torch.stack(means, dim=1).cpu().double().numpy())
        return np.concatenate(found)

    def pictures(self, ids: Sequence[str]) -> tuple[Images, Images]:
        """Return test images and their reconstructions, uint8 ``[N, C, H, W]`` each."""
        trips = list(self._trips(ids, frozenset({"image", "image_hat"})))
        images, hats = (
            torch.cat([to_uint8(image).cpu() for image in found]).numpy()
            for found in ([t.image for t in trips], [t.image_hat for t in trips])
        )
        return images, hats

    def _trips(self, ids: Sequence[str], needs: frozenset[str]) -> Trips:
        if self.data.test is None:
            raise CheckpointError(f"{self.opened.directory.path}: has no test set")
        rows = self._rows(self.data.test, ids)
        path = self.opened.directory.path
        advance = self.watcher.track(f"trips of test images of {path.name}", len(rows))
        size = self.recipe.evaluation.batch_size
        return Trips(self.backbone, self.data.test.images, rows, needs, size, self.device, advance)

    def _rows(self, test: TestSet, ids: Sequence[str]) -> Rows:
        """Return the rows of images; of one that is cut, that of its tile with the largest score.

        The score is the primary one, as in the report.
        """
        wholes = test.wholes
        place = {name: number for number, name in enumerate(wholes.ids)}
        chosen = np.array([place[name] for name in ids], dtype=np.int64)
        if test.parents is None:
            return wholes.first[chosen]
        primary = self.recipe.primary
        tiles = np.flatnonzero(np.isin(wholes.of_tile, chosen))
        size = self.recipe.evaluation.batch_size
        scorer = Scorer([primary], self.backbone, self.device, size, self.recipe.seed)
        scorer.load(self.opened.fitted, self.opened.results.standards)
        values = np.full(len(test), -np.inf)
        values[tiles] = scorer.combine(primary, scorer.compute(test.images, tiles).values)
        return wholes.tops(values)[chosen]
