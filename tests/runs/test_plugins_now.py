"""What is told and refused where an installed plugin was upgraded or removed after a run."""

import importlib
import json
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image

import anokit
from anokit.errors import RecipeError
from anokit.results.rows import read_results
from anokit.runs import pieces
from anokit.runs.score_place import place_of
from anokit.runs.verify import verify
from anokit.store.run_directory import RunDirectory

TOYS = Path(__file__).parents[1] / "toys.py"

CODE = """
from anokit import Component, hookimpl


class Shade:
    def __init__(self, options):
        pass

    def __call__(self, trip):
        return {times} * trip.image.mean(dim=(1, 2, 3))


@hookimpl
def anokit_scores():
    yield Component(name="shade", summary="Shade", factory=Shade, needs=frozenset({{"image"}}))
"""

BEFORE, AGAIN = "was made with acme-shade 1.0, and 2.0 computes here", "acme-shade==1.0"


@pytest.fixture
def installed(tmp_path, monkeypatch, toykit):
    """Install a version of acme-shade, whose score is an image's mean, times a number."""
    place = tmp_path / "site"
    place.mkdir()
    monkeypatch.syspath_prepend(place)
    monkeypatch.setenv("ANOKIT_PLUGINS", "acme-shade")

    def forget():
        for module in ("acme_shade", "acme_shade.plugin"):
            sys.modules.pop(module, None)
        shutil.rmtree(place)
        place.mkdir()
        importlib.invalidate_caches()

    def install(version, times):
        forget()
        package, info = place / "acme_shade", place / f"acme_shade-{version}.dist-info"
        package.mkdir()
        info.mkdir()
        (package / "__init__.py").write_text("")
        (package / "plugin.py").write_text(CODE.format(times=times))
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: acme-shade\nVersion: {version}\n"
        )
        (info / "entry_points.txt").write_text("[anokit]\nit = acme_shade.plugin\n")

    install.remove = forget
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield install
    forget()


@pytest.fixture
def run(installed, toykit, recipe_file, tmp_path):
    """A run by the first version, to which a score was added."""
    installed("1.0", 1)
    out = tmp_path / "run"
    recipe = recipe_file('scores=[{use="error"}, {use="shade"}]')
    done = toykit("run", recipe, "--out", out)
    assert done.code == 0, done.err
    (tmp_path / "extra.toml").write_text('[[scores]]\nname = "late"\nuse = "shade"\n')
    assert toykit("add-scores", out, "--scores", tmp_path / "extra.toml").code == 0
    return out


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(40):
        Image.new("L", (8, 8), number * 5).save(folder / f"{number:02d}.png")
    return folder


def test_every_command_that_computes_by_another_version_tells(
    run, installed, toykit, tmp_path, photos
):
    extra = tmp_path / "extra.toml"
    assert BEFORE not in toykit("score", run, photos).err
    installed("2.0", -3)
    for command in (
        ("score", run, photos),
        ("suspects", run),
        ("explain", run, "--score", "shade"),
    ):
        done = toykit(*command)
        assert done.code == 0, done.err
        assert (done.err + done.out).count(BEFORE) == 1, command
    told = [text for text in read_results(RunDirectory(run)).told if BEFORE in text]
    assert len(told) == 1, "the run says by what the explanation was made"
    installed("1.0", 1)
    assert toykit("explain", run, "--score", "shade").code == 0
    assert BEFORE not in str(read_results(RunDirectory(run))), "and no more once it is made anew"
    installed("2.0", -3)
    found = verify(run, device="cpu", plugins=[TOYS])
    assert found.problems[0].startswith(BEFORE)
    assert any("shade: scores differ" in text for text in found.problems)
    with pytest.warns(UserWarning, match=BEFORE):
        anokit.load(run, device="cpu", plugins=[TOYS])
    # What is put in the place of what an earlier version had made is new.
    done = toykit("add-scores", run, "--scores", extra, "--replace")
    assert done.code == 0, done.err
    late = json.loads((run / "added.json").read_text())["late"]
    assert late["plugins"] == {"acme-shade": "2.0"}
    assert not any(BEFORE in text for text in late["warnings"])


def test_a_plugin_that_is_gone_is_named_in_one_sentence(
    run, installed, toykit, photos, monkeypatch
):
    installed.remove()
    monkeypatch.setenv("ANOKIT_PLUGINS", "")
    for command in (("score", run, photos), ("suspects", run), ("explain", run, "--score", "late")):
        refused = toykit(*command)
        assert refused.code == 2
        assert f"pip install {AGAIN}" in refused.err
        assert "installed:" not in refused.err, "no list of all that there is"
    assert AGAIN in verify(run, device="cpu", plugins=[TOYS]).in_words
    with pytest.raises(RecipeError, match=r"acme-shade 1\.0, which is not installed"):
        anokit.load(run, device="cpu", plugins=[TOYS])
    assert toykit("explain", run, "--score", "error").code == 0


def test_a_plugin_of_a_run_that_is_to_go_on_is_named_in_one_sentence(
    installed, toykit, recipe_file, tmp_path, monkeypatch
):
    installed("1.0", 1)
    recipe = recipe_file('scores=[{use="error"}, {use="shade"}]', "backbone.fail_at=3")
    assert toykit("run", recipe, "--out", tmp_path / "run").code == 1
    installed.remove()
    monkeypatch.setenv("ANOKIT_PLUGINS", "")
    refused = toykit("run", recipe, "--resume", tmp_path / "run")
    assert (refused.code, f"pip install {AGAIN}" in refused.err) == (2, True)
    assert "unknown score" not in refused.err
    recipe_file('scores=[{use="error"}]', "backbone.fail_at=3")
    gone = toykit("run", recipe, "--resume", tmp_path / "run")
    assert (gone.code, "told to fail" in gone.err) == (1, True), "it is not needed"
    recipe_file("backbone.use=nothing")
    assert "unknown backbone" in toykit("run", recipe).err


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_scores_of_two_versions_are_never_in_one_table(
    run, installed, toykit, tmp_path, photos, monkeypatch, version
):
    """Nor those of one version whose code was changed, as while it is being written."""
    out, undisturbed = tmp_path / "scores.csv", tmp_path / "undisturbed.csv"
    write, written = pieces._write, []

    def stopped_at_the_second(*arguments):
        if written:
            raise KeyboardInterrupt
        written.append(1)
        return write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(pieces, "_write", stopped_at_the_second)
        assert toykit("score", run, photos, "--out", out, "--device", "cpu").code == 130
    assert place_of(out).is_dir()
    installed(version, -3)
    assert toykit("score", run, photos, "--out", out, "--device", "cpu").code == 0
    assert toykit("score", run, photos, "--out", undisturbed, "--device", "cpu").code == 0
    assert out.read_bytes() == undisturbed.read_bytes()
