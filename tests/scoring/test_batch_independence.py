"""The score of an image never depends on the other images of its batch, their number or order.

Over every backbone of every installed plugin, built from its example, with every score that it can
feed: a new plugin is held to it by being installed.
"""

import functools
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from anokit.data import seeded_order
from anokit.data.feed import Feed
from anokit.data.sets import ImageTable, all_rows
from anokit.errors import AnokitError, DataError
from anokit.plugin import resolve_fields
from anokit.recipe.parts import NamedScore, Part, Term
from anokit.recipe.reading import resolve
from anokit.registry.lookup import Registry
from anokit.scoring import trips as scoring
from anokit.scoring.scorer import Scorer
from anokit.training.backbone import GuardedBackbone, build_backbone
from anokit.types import Batch, ImageSpec, RoundTrip

CPU = torch.device("cpu")
SHAPES = ((1, 8, 8), (1, 32, 32), (3, 32, 32), (3, 64, 64), (3, 224, 224))
SPECS = [ImageSpec(*shape) for shape in SHAPES]
BATCHES = (1, 3)
TEST = 8
TRAIN = 24
TOYS = Path(__file__).parents[1] / "toys.py"
EVERYTHING = Registry.load([TOYS])
BACKBONES = list(EVERYTHING.of_kind("backbone"))
SCORES = [entry for entry in EVERYTHING.of_kind("score") if entry.qualified != "toys/bad"]


def as_part(entry) -> Part:
    """Use a component with its example's options."""
    return Part(entry, entry.component.options.model_validate(dict(entry.component.example)))


def fields(part: Part, name: str) -> frozenset[str]:
    return resolve_fields(getattr(part.entry.component, name), part.options)


def feeds(backbone, score) -> bool:
    offered = fields(as_part(backbone), "provides") | {"image"}
    return fields(as_part(score), "needs") <= offered


CASES = [
    pytest.param(backbone, score, id=f"{backbone.qualified}-{score.qualified}")
    for backbone in BACKBONES
    for score in SCORES
    if feeds(backbone, score)
]


@dataclass
class Built:
    """A backbone that is a little trained, so that its buffers are not what it began with."""

    model: GuardedBackbone
    train: ImageTable
    test: ImageTable


def pictures(spec: ImageSpec, count: int, seed: int) -> ImageTable:
    """Draw images that differ in brightness and contrast, as their scores should."""
    draw = np.random.default_rng(seed)
    level = draw.uniform(40, 200, (count, 1, 1, 1))
    spread = draw.uniform(2, 60, (count, 1, 1, 1))
    noise = draw.normal(0, 1, (count, spec.channels, spec.height, spec.width))
    return ImageTable([np.clip(level + spread * noise, 0, 255).astype(np.uint8)])


def build(entry) -> Built:
    """Build a backbone for the first shape of images that it takes and train it for a few steps."""
    component = entry.component
    starts = resolve_fields(component.trips, component.options(**component.example))
    losses = [
        {"use": loss.qualified}
        for loss in EVERYTHING.of_kind("encoder-loss")
        if loss.component.trip_from in starts and feeds(entry, loss)
    ]
    tables = {
        "dataset": {"use": "toys/blobs"},
        "backbone": {"use": entry.qualified, **component.example},
        "encoder-losses": losses[:1],
        "scores": [{"use": "toys/far"}],
    }
    recipe = resolve(tables, EVERYTHING, TOYS)
    for spec in SPECS:
        try:
            model = build_backbone(recipe, spec, CPU)
        except DataError:
            continue
        train, test = pictures(spec, TRAIN, 1), pictures(spec, TEST, 2)
        feed, generator = Feed(train, CPU, 0), torch.Generator().manual_seed(0)
        model.module.train()
        shown = 0
        for phase in model.typed.phases():
            phase.optimisers()
            for step in range(2):
                images, indices = feed.batch(shown, 6, phase.resolution)
                phase.step(Batch(images, indices, step, step / 2, generator))
                shown += 6
        model.module.eval()
        return Built(model, train, test)
    raise AssertionError(f"{entry.qualified} takes none of {', '.join(map(str, SPECS))}")


@dataclass
class Trips:
    """Round trips of one backbone: of training images, and of test images in several arrangements.

    Made once with every field, since a latent search is far slower than any score.
    """

    train: list[RoundTrip]
    together: RoundTrip
    arranged: dict[str, tuple[np.ndarray, list[RoundTrip]]]
    """by name: which images, in which order, and their trips"""


def make_trips(built: Built, needs: frozenset[str]) -> Trips:
    def trips(images, rows, size):
        found = list(scoring.Trips(built.model, images, rows, needs, size, CPU))
        return [trip.map(torch.clone) for trip in found]

    rows = all_rows(TEST)
    arranged = {f"batches of {n}": (rows, trips(built.test, rows, n)) for n in BATCHES}
    order = seeded_order(TEST, "shuffle")
    arranged["shuffled"] = (order, trips(built.test, order, 5))
    (together,) = trips(built.test, rows, TEST)
    return Trips(trips(built.train, all_rows(TRAIN), 6), together, arranged)


@pytest.fixture(scope="module")
def built():
    """Build a backbone, once."""
    return functools.cache(build_named)


@pytest.fixture(scope="module")
def trips_of(built):
    """Make the trips of a backbone, once."""

    @functools.cache
    def trips(name):
        entry = EVERYTHING.get("backbone", name)
        return make_trips(built(name), fields(as_part(entry), "provides") | {"image"})

    return trips


def build_named(name: str) -> Built:
    return build(EVERYTHING.get("backbone", name))


def assert_independent(part: Part, trips: Trips):
    """Score one set of images in several arrangements and compare."""
    (component,) = Scorer(
        [NamedScore("score", (Term(part.entry, part.options),))], None, CPU, 8, 0
    ).components.values()
    if component.fitted:
        with torch.no_grad():
            component.score.fit(trips.train)
    together = component.compute(trips.together).numpy()
    assert together.std() > 0, "the images score alike: this test could not fail"
    maps = component.compute_map(trips.together).numpy() if component.has_map else None
    for name, (rows, found) in trips.arranged.items():
        values = torch.cat([component.compute(trip) for trip in found]).numpy()
        # Rounding is relative to what is added up, so a sum that nearly cancels has more of it.
        slack = 1e-5 * np.abs(together).max()
        np.testing.assert_allclose(values, together[rows], rtol=1e-4, atol=slack, err_msg=name)
        if maps is not None:
            drawn = torch.cat([component.compute_map(trip) for trip in found]).numpy()
            np.testing.assert_allclose(
                drawn, maps[rows], rtol=1e-4, atol=1e-4 * np.abs(maps).max(), err_msg=name
            )


@pytest.mark.parametrize(("backbone", "score"), CASES)
def test_scores_do_not_depend_on_the_batch(backbone, score, trips_of):
    assert_independent(as_part(score), trips_of(backbone.qualified))


def test_every_backbone_and_every_score_is_in_it():
    assert {case.values[0].qualified for case in CASES} == {entry.qualified for entry in BACKBONES}
    fed = {case.values[1].qualified for case in CASES}
    assert fed == {s.qualified for s in SCORES if any(feeds(b, s) for b in BACKBONES)}
    assert len(fed) > 1


def test_a_score_that_looks_at_its_batch_is_caught(trips_of):
    bad = EVERYTHING.get("score", "toys/bad")
    crowd = Part(bad, bad.component.options(how="crowd"))
    with pytest.raises(AssertionError, match="batches of 1"):
        assert_independent(crowd, trips_of("toys/linear"))


PUBLISHED = {
    "pgan": ({"minibatch_stddev": "batch"}, "minibatch stddev over the batch"),
    "skip-ganomaly": ({"batch_norm": "batch"}, "batch norm with the statistics"),
    "alocc": ({"batch_norm": "batch"}, "batch norm with the statistics"),
}


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_a_published_dependence_is_caught_and_named(name):
    """The option that brings a published flaw back is what the check is for, and it says so."""
    changes, phrase = PUBLISHED[name]
    try:
        entry = EVERYTHING.get("backbone", name)
    except AnokitError:
        pytest.skip(f"the plugin that offers {name} is not installed")
    example = {**entry.component.example, **changes}
    flawed = replace(entry, component=replace(entry.component, example=example))
    registry = EVERYTHING.entries
    place = registry.index(entry)
    registry[place] = flawed
    try:
        made = build(flawed)
    finally:
        registry[place] = entry
    assert phrase in made.model.batch_dependence
    needs = frozenset({"critic"})
    images = made.test.read(all_rows(TEST)).float() / 127.5 - 1
    with torch.no_grad():
        together = made.model.round_trip(images, needs).critic
        alone = torch.cat([made.model.round_trip(i[None], needs).critic for i in images])
    assert not torch.allclose(alone, together, rtol=1e-4)


def test_honest_backbones_claim_no_dependence(built):
    for entry in BACKBONES:
        assert built(entry.qualified).model.batch_dependence == ""
