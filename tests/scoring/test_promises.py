"""Every fitted score that is shipped keeps a rate of false alarms: its threshold means something.

A threshold is taken from scores of training images that the score did not learn from, and judges
new images by a score that learnt from all. It is worth what the two scales have in common: a score
that grows with the number of images, or that chooses another bandwidth for a part of them, raises
far more alarms than promised, or none, at the best of AUROCs.
"""

from functools import cache

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from anokit.data.sets import all_rows
from anokit.recipe.parts import NamedScore, Term
from anokit.recipe.tables import ThresholdSettings
from anokit.registry.lookup import Registry
from anokit.results.thresholds import Calibration
from anokit.scoring.built_score import build_score
from anokit.scoring.scorer import Scorer
from anokit.scoring.training_scores import score_training
from anokit.testing.trips import select
from anokit.types import RoundTrip
from anokit.types.models import ROUND_TRIP_FIELDS

CPU = torch.device("cpu")
TRAIN, NEW, SETS, BATCH = 150, 300, 12, 100
PROMISED = 0.1
FEW, MANY = 0.045, 0.14
"""A rate over `SETS` sets has a standard deviation of about 0.01. Of few images some scores learn
from a part what makes new ones look farther off than from all: they raise fewer alarms."""

SMALL = {"max_patches": 400, "memory_size": 400, "samples": 64, "trees": 40}
"""Memories and samples that a part of the images fills too, as those of larger sets are."""


@cache
def simulated(seed: int) -> RoundTrip:
    """Images from a few modes; values of very different spread; maps that are smooth."""
    draw = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(TRAIN + NEW, *shape, generator=draw)

    spread = torch.logspace(0, -1.25, 64)
    centres = 2 * torch.randn(5, 64, generator=torch.Generator().manual_seed(7)) * spread
    features = centres[torch.randint(5, (TRAIN + NEW,), generator=draw)] + normal(64) * spread
    latent = normal(16) * torch.linspace(1, 0.1, 16)
    image = (0.4 * interpolate(normal(3, 4, 4), size=(16, 16), mode="bilinear")).clamp(-1, 1)
    image = (image + 0.05 * normal(3, 16, 16)).clamp(-1, 1)
    patches = interpolate(normal(12, 2, 2), size=(4, 4), mode="bilinear") + 0.2 * normal(12, 4, 4)
    patches = patches * torch.linspace(1, 0.1, 12)[:, None, None]
    return RoundTrip(
        image=image,
        latent=latent,
        image_hat=(image + 0.1 * normal(3, 16, 16)).clamp(-1, 1),
        latent_hat=latent + 0.3 * normal(16),
        features=features,
        features_hat=features + 0.1 * normal(64),
        patches=patches,
        patches_hat=patches + 0.1 * normal(12, 4, 4),
        anomaly_map=normal(4, 4).abs(),
        critic=normal(),
        critic_hat=normal(),
    )


class Training:
    """The first trips, as images to learn from."""

    def __init__(self, images, units=None):
        self.images = images
        self.units = units

    def __len__(self):
        return TRAIN


class Held(list):
    """Trips that were made before."""

    lent = None


class Simulated(Scorer):
    """A scorer whose trips stand in no relation to any image."""

    def trips(self, images, rows, needs, advance=None, memory=None):
        starts = range(0, len(rows), BATCH)
        return Held(select(images, [int(row) for row in rows[at : at + BATCH]]) for at in starts)


def shipped():
    """Return every fitted score, on each field that it can read."""
    for entry in Registry.load([]).of_kind("score"):
        if not entry.plugin.startswith("anokit-"):
            continue
        fields = entry.component.options.model_fields
        for on in ("features", "image", "latent", "patches") if "on" in fields else ("",):
            given = {key: value for key, value in SMALL.items() if key in fields}
            try:
                options = entry.component.options(**({"on": on} if on else {}), **given)
            except ValueError:  # it does not read this field
                continue
            built = build_score(Term(entry, options), CPU)
            if built.fitted and built.needs <= set(ROUND_TRIP_FIELDS):
                name = f"{entry.component.name} {on}".strip()
                yield pytest.param(built.part, id=name.replace(" ", "-"))


def alarms_of(term, units=None):
    """Return the share of new images above the threshold, of each set."""
    alarms = []
    for seed in range(SETS):
        whole = simulated(seed)
        scorer = Simulated([NamedScore("it", (term,))], None, CPU, BATCH, seed)
        found = score_training(scorer, Training(whole, units), all_rows(TRAIN), 5)
        threshold = Calibration.of(
            found.values[term.key], ThresholdSettings(false_alarms=PROMISED)
        ).threshold
        new = scorer.compute(whole, np.arange(TRAIN, TRAIN + NEW))
        alarms.append(float(np.mean(new.values[term.key] > threshold)))
    return alarms


@pytest.mark.parametrize("term", list(shipped()))
def test_a_fitted_score_raises_as_many_false_alarms_as_its_threshold_promises(term):
    alarms = alarms_of(term)
    assert FEW < np.mean(alarms) < MANY, alarms


@pytest.mark.parametrize("name", ["mahalanobis-image", "knn-image", "rx-features"])
def test_so_it_does_where_images_belong_together_and_none_is_left_out_alone(name):
    (term,) = (one.values[0] for one in shipped() if one.id == name)
    alarms = alarms_of(term, [f"pair {row // 2}" for row in range(TRAIN)])
    assert FEW < np.mean(alarms) < MANY, alarms
