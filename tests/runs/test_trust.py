"""Nothing inside a run directory is executed, unless the user trusts what the run recorded."""

import hashlib
import json
import os
import py_compile
import shutil

import pytest
from PIL import Image

import anokit as package
from anokit.errors import CheckpointError, UsageError
from anokit.runs.opened import open_run

MARK = "import pathlib\npathlib.Path({path!r}).touch()\n"
"""A plugin that tells that it was executed."""

OTHER = """
import torch
from anokit import Component, hookimpl


class Second:
    def __init__(self, options):
        pass

    def __call__(self, trip):
        return trip.image.flatten(1).amax(dim=1)

    def map(self, trip):
        return trip.image.amax(dim=1)


@hookimpl
def anokit_scores():
    return [Component(name="second", summary="Largest value", factory=Second,
                      needs=frozenset({"image"}), map_needs=frozenset({"image"}))]
"""


@pytest.fixture
def run(finished, tmp_path):
    """A finished run of our own, made with toys.py."""
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture
def picture(tmp_path):
    Image.new("L", (8, 8), 90).save(tmp_path / "grey.png")
    return tmp_path / "grey.png"


@pytest.fixture
def other(tmp_path):
    path = tmp_path / "other.py"
    path.write_text(OTHER)
    return path


@pytest.fixture
def alone(anokit, monkeypatch):
    """Run the command line with no plugin but those that the arguments name."""
    monkeypatch.setenv("ANOKIT_PLUGINS", "")
    return anokit


def test_the_run_records_its_one_file_plugins(run, toys_file):
    record = json.loads((run / "environment.json").read_text())["plugin_files"]
    assert record == {"toys.py": hashlib.sha256(toys_file.read_bytes()).hexdigest()}


@pytest.mark.parametrize("command", ["score", "add-scores", "python"])
def test_a_run_is_not_executed_without_trust(alone, run, picture, tmp_path, command):
    (tmp_path / "more.toml").write_text('[[scores]]\nname = "again"\nuse = "far"\n')
    if command == "python":
        with pytest.raises(UsageError) as caught:
            package.load(run)
        said = str(caught.value)
    else:
        rest = [picture] if command == "score" else ["--scores", tmp_path / "more.toml"]
        found = alone(command, run, *rest)
        assert found.code == 2
        said = found.err
    assert "was made with one-file plugins (toys.py)" in said
    assert "--trust-plugins" in said
    assert "trust_plugins=True" in said


def test_trusted_or_named_a_run_is_loaded(alone, run, picture, toys_file):
    assert alone("score", run, picture, "--trust-plugins").code == 0
    assert alone("score", run, picture, "--plugin", toys_file).code == 0
    assert package.load(run, trust_plugins=True).thresholds
    assert package.load(run, plugins=[toys_file]).thresholds


def test_another_plugin_does_not_hide_the_runs_own(alone, run, picture, other):
    found = alone("score", run, picture, "--trust-plugins", "--plugin", other)
    assert found.code == 0, found.err
    refused = alone("score", run, picture, "--plugin", other)
    assert (refused.code, "(toys.py)" in refused.err) == (2, True)


def test_a_file_that_is_not_in_the_record_is_never_executed(alone, run, picture, tmp_path):
    (run / "evil.py").write_text(MARK.format(path=str(tmp_path / "executed")))
    assert alone("score", run, picture, "--trust-plugins").code == 0
    assert not (tmp_path / "executed").exists()


def test_a_file_that_was_changed_is_never_executed(alone, run, picture, tmp_path):
    with (run / "toys.py").open("a") as file:
        file.write(MARK.format(path=str(tmp_path / "executed")))
    found = alone("score", run, picture, "--trust-plugins")
    assert found.code == 1
    assert "toys.py: is not the plugin that this run was made with" in found.err
    assert not (tmp_path / "executed").exists()


def test_a_plugin_that_is_gone_is_asked_for(alone, run, picture):
    (run / "toys.py").unlink()
    found = alone("score", run, picture, "--trust-plugins")
    assert (found.code, "toys.py: is gone" in found.err) == (1, True)


def test_byte_code_beside_a_plugin_is_never_executed(run, tmp_path, monkeypatch):
    """A cache in the directory would be executed in place of the source whose hash was checked."""
    monkeypatch.setenv("ANOKIT_PLUGINS", "")
    source, evil = run / "toys.py", tmp_path / "evil.py"
    evil.write_text(MARK.format(path=str(tmp_path / "executed")))
    cache = run / "__pycache__" / "toys.cpython-311.pyc"
    for name in {cache.name, f"toys.{os.sys.implementation.cache_tag}.pyc"}:
        target = str(cache.with_name(name))
        py_compile.compile(str(evil), target, invalidation_mode=_UNCHECKED)
    open_run(run, trust_plugins=True)
    assert not (tmp_path / "executed").exists()
    assert source.exists()


_UNCHECKED = py_compile.PycInvalidationMode.UNCHECKED_HASH


@pytest.mark.parametrize("name", ["../outside.py", "/etc/outside.py"])
def test_a_record_cannot_lead_out_of_the_directory(run, monkeypatch, tmp_path, name):
    monkeypatch.setenv("ANOKIT_PLUGINS", "")
    outside = tmp_path / "outside.py"
    outside.write_text(MARK.format(path=str(tmp_path / "executed")))
    record = json.loads((run / "environment.json").read_text())
    record["plugin_files"][name] = hashlib.sha256(outside.read_bytes()).hexdigest()
    (run / "environment.json").write_text(json.dumps(record))
    (run / "added.json").write_text("{}")
    open_run(run, trust_plugins=True)
    assert not (tmp_path / "executed").exists()


def test_a_damaged_results_file_is_named(run):
    (run / "results.json").write_text('{"rows": 3}')
    with pytest.raises(CheckpointError, match=r"results\.json: damaged"):
        open_run(run, trust_plugins=True)


def test_a_resumed_run_takes_its_plugins_from_the_command_line_alone(
    alone, recipe_file, toys_file, tmp_path
):
    path = recipe_file("backbone.fail_at=3")
    assert alone("run", path, "--plugin", toys_file, "--out", tmp_path / "run").code == 1
    found = alone("run", path, "--resume", tmp_path / "run")
    assert (found.code, "was made with toys.py, which is not installed" in found.err) == (2, True)
