"""What a plugin may not touch: what it is given to read, and the state of the process."""

import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from anokit.data.preparing import prepare
from anokit.data.sets import all_rows
from anokit.errors import AnokitError
from anokit.recipe.reading import resolve
from anokit.registry.blame import PluginFault
from anokit.registry.guard import telling
from anokit.registry.lookup import Registry
from anokit.scoring.scorer import Scorer
from anokit.training.backbone import build_backbone

CPU = torch.device("cpu")
HOSTILE = Path(__file__).parents[1] / "hostile.py"


@pytest.fixture(scope="session")
def hostile_registry(toys_file):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANOKIT_PLUGINS", "")
        return Registry.load([toys_file, HOSTILE])


@pytest.fixture
def at_work(hostile_registry):
    """Build model and scorer of a recipe: hostile score, and one that reads the same after it."""

    def build(how, *, backbone="toys/linear", loss=None, model="nothing", **options):
        tables = {
            "dataset": {"use": "blobs"},
            "backbone": {"use": backbone, **({"how": model} if "hostile" in backbone else {})},
            "encoder-losses": [{"use": "hostile/hostile", "how": loss}] if loss else [],
            "scores": [{"use": "hostile/hostile", "how": how, **options}, {"use": "toys/error"}],
        }
        recipe = resolve(tables, hostile_registry, Path("hostile.toml"))
        data = prepare(recipe.dataset, 0)
        model = build_backbone(recipe, data.spec, CPU)
        return Scorer(recipe.scores, model, CPU, 8, 0), data

    return build


def score(built):
    scorer, data = built
    return scorer.compute(data.test.images, all_rows(len(data.test)))


@pytest.mark.parametrize(("how", "doing"), [("write", "scoring"), ("map-write", "drawing a map")])
def test_a_score_that_writes_into_the_trip_is_stopped(at_work, how, doing):
    scorer, data = at_work(how)
    rows = all_rows(len(data.test))
    called = {
        "write": lambda: scorer.compute(data.test.images, rows),
        "map-write": lambda: scorer.maps_of(scorer.components, data.test.images, rows),
    }
    with pytest.raises(
        PluginFault,
        match=rf"score 'hostile' of hostile sha256:\w+ wrote into image.*{doing}.*hostile.py:\d+",
    ):
        called[how]()


def test_a_fit_that_writes_into_a_trip_is_stopped(at_work):
    scorer, data = at_work("fit-write")
    with pytest.raises(PluginFault, match=r"hostile.* wrote into image.* while being fitted"):
        scorer.fit(data.train.images, all_rows(20))


def test_a_backbone_that_writes_into_the_images_is_stopped(at_work):
    with pytest.raises(PluginFault, match=r"backbone 'hostile'.* wrote into the images"):
        score(at_work("nothing", backbone="hostile/hostile", model="write"))


def test_what_is_written_in_inference_mode_is_seen_too(at_work):
    scorer, data = at_work("write")
    with torch.inference_mode(), pytest.raises(PluginFault, match="wrote into image"):
        scorer.compute(data.test.images, all_rows(8))


STATE = {
    "dtype": torch.get_default_dtype,
    "threads": torch.get_num_threads,
    "grad": torch.is_grad_enabled,
    "torch": lambda: torch.get_rng_state().tolist(),
    "numpy": lambda: str(np.random.get_state()),  # noqa: NPY002
    "python": random.getstate,
    "errors": np.geterr,
    "folder": lambda: str(Path.cwd()),
}


@pytest.fixture
def as_before():
    """Put back what the core fails to put back, so that no other test suffers."""
    before = (torch.get_default_dtype(), torch.get_num_threads(), np.geterr(), Path.cwd())
    yield
    torch.set_default_dtype(before[0])
    torch.set_num_threads(before[1])
    np.seterr(**before[2])
    os.chdir(before[3])
    torch.set_grad_enabled(True)


@pytest.mark.parametrize("whose", ["score", "backbone"])
@pytest.mark.parametrize("what", sorted(STATE))
def test_the_state_of_the_process_is_put_back_and_told_of(at_work, as_before, what, whose):
    built = (
        at_work(what)
        if whose == "score"
        else at_work("nothing", backbone="hostile/hostile", model=what)
    )
    told, before = [], STATE[what]()
    with telling(told.append):
        score(built)
    assert STATE[what]() == before
    (text,) = told  # five batches, one sentence
    assert text.startswith(f"{whose} 'hostile' of hostile")
    assert "hostile.py:" in text


def test_a_well_behaved_score_is_told_nothing(at_work):
    told = []
    with telling(told.append):
        score(at_work("nothing"))
    assert not told


def test_a_backbone_that_leaves_evaluation_is_put_back(at_work):
    built = at_work("nothing", backbone="hostile/hostile", model="mode")
    told = []
    with telling(told.append):
        score(built)
    assert not built[0].backbone.module.training
    assert "left its mode of evaluation" in told[0]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("exit", "SystemExit: 3; a plugin may not end the process"),
        ("interrupt", "KeyboardInterrupt, and nobody pressed Ctrl-C"),
        ("memory", r"memory ran out \(no more of it\)"),
    ],
)
@pytest.mark.parametrize("when", ["", "build-"])
def test_every_way_to_leave_is_blamed_on_the_plugin(at_work, how, when, message):
    doing = "being built" if when else "scoring images"
    with pytest.raises(
        PluginFault, match=rf"score 'hostile' .* failed while {doing}: {message}.*hostile.py:\d+"
    ):
        score(at_work(when + how))


def test_ctrl_c_in_plugin_code_stays_ctrl_c(at_work, monkeypatch):
    scorer, data = at_work("nothing")
    hostile = next(iter(scorer.components.values())).score

    def forward(trip):
        import signal

        signal.raise_signal(signal.SIGINT)
        return trip.image.flatten(1).mean(dim=1)

    monkeypatch.setattr(hostile, "forward", forward)
    with pytest.raises(KeyboardInterrupt):
        scorer.compute(data.test.images, all_rows(8))


def test_nan_on_finite_trips_is_the_scores_fault_and_names_the_image(at_work):
    _, data = at_work("nothing")
    grey = data.test.images.read(all_rows(len(data.test)))[:, 0, 0, 0]
    bad = next(row for row in range(10, 40) if int((grey == grey[row]).sum()) == 1)
    for how in ("one-nan", "one-raises"):
        built = at_work(how, at=int(grey[bad]))
        with pytest.raises(PluginFault) as caught:
            score(built)
        assert str(caught.value).endswith(f"; image {data.test.ids[bad]}")
    built = at_work("one-nan", at=int(grey[bad]))
    with pytest.raises(PluginFault, match="not of the model"):
        score(built)


def test_nan_that_the_model_made_is_not_the_scores_fault(at_work):
    scorer, data = at_work("nothing")
    with torch.no_grad():
        for value in scorer.backbone.module.parameters():
            value.fill_(float("nan"))
    with pytest.raises(AnokitError, match="may have diverged") as caught:
        scorer.compute(data.test.images, all_rows(8))
    assert not isinstance(caught.value, PluginFault)
