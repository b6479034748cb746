"""A registry of toy components, a way to run the command line, and one finished toy run."""

import copy
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from anokit.cli import main
from anokit.overrides import apply_setting
from anokit.registry import Registry
from anokit.resolve import resolve
from anokit.toml_text import to_toml

TOYS = Path(__file__).with_name("toys.py")
REPOSITORY = TOYS.parent.parent

RECIPE = {
    "title": "Toys",
    "seed": 3,
    "dataset": {"use": "blobs"},
    "backbone": {"use": "linear"},
    "encoder-losses": [{"use": "shrink", "weight": 0.001}],
    "scores": [
        {"use": "error"},
        {"name": "sum", "terms": [{"use": "error", "weight": 0.5}, {"use": "far"}]},
        {"use": "far"},
    ],
    "evaluation": {"resamples": 20, "batch_size": 16, "gallery": 3},
    "training": {"log_every": 2, "snapshots": 2},
}


def only_toys(patch):
    """Leave the installed plugins out of everything that is done from here on."""
    patch.setenv("ANOKIT_PLUGINS", "")
    patch.delenv("ANOKIT_DEBUG", raising=False)


def tables(*settings):
    """Return the tables of the toy recipe, changed as ``--set`` would change them."""
    data = copy.deepcopy(RECIPE)
    for setting in settings:
        apply_setting(data, setting)
    return data


@pytest.fixture(scope="session")
def repository():
    return REPOSITORY


@pytest.fixture(scope="session")
def toys_file():
    return TOYS


@pytest.fixture(scope="session")
def registry():
    """The toys alone."""
    with pytest.MonkeyPatch.context() as patch:
        only_toys(patch)
        return Registry.load([TOYS])


@pytest.fixture(scope="session")
def installed():
    """The registry of the plugins that are installed."""
    return Registry.load()


@pytest.fixture(scope="session")
def toys(registry):
    """The module of the toys that ``registry`` holds."""
    factory = registry.get("score", "far").component.load()
    return SimpleNamespace(
        **vars(sys.modules[factory.__module__]), FITS=factory.fit.__globals__["FITS"]
    )


@pytest.fixture
def make(registry):
    """Resolve the toy recipe with changes such as ``"seed=4"``."""
    return lambda *settings: resolve(tables(*settings), registry, Path("toys.toml"))


@pytest.fixture
def recipe_file(tmp_path):
    """Write the toy recipe, changed as ``--set`` would change it, and return its path."""

    def write(*settings, name="toys.toml", extra=""):
        path = tmp_path / name
        path.write_text(to_toml(tables(*settings)) + extra, encoding="utf-8")
        return path

    return write


def call(capture, *arguments):
    """Run the command line in this process: its exit code and what it printed."""
    capture.readouterr()
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    out, err = capture.readouterr()
    return SimpleNamespace(code=caught.value.code, out=out, err=err)


@pytest.fixture
def anokit(capsys, monkeypatch):
    """Run the command line in this process with every installed plugin."""
    monkeypatch.delenv("ANOKIT_PLUGINS", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments: call(capsys, *arguments)


@pytest.fixture
def toykit(anokit, monkeypatch):
    """Run the command line in this process with the toys alone."""
    only_toys(monkeypatch)
    return lambda *arguments: anokit(*arguments, "--plugin", TOYS)


@pytest.fixture
def python(tmp_path):
    """Run Python in a process of its own, with the toys as the only plugin."""

    def start(*arguments, plugins="", limit=120):
        environment = {**os.environ, "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
        environment.pop("ANOKIT_PLUGINS", None)
        if plugins is not None:
            environment["ANOKIT_PLUGINS"] = plugins
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment,
            timeout=limit,
            check=False,
        )

    return start


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The directory of one finished toy run, which no test may change."""
    folder = tmp_path_factory.mktemp("finished")
    path = folder / "toys.toml"
    path.write_text(to_toml(tables("dataset.masks=true", "dataset.contamination=0.1")))
    with pytest.MonkeyPatch.context() as patch:
        only_toys(patch)
        with pytest.raises(SystemExit) as caught:
            main(["run", str(path), "--plugin", str(TOYS), "--out", str(folder / "run")])
    assert caught.value.code == 0
    return folder / "run"
