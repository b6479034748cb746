"""A registry of toy components, a way to run the command line, and one finished toy run."""

import copy
import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import typer.main

from anokit.cli.app import main
from anokit.data.preparing import prepare
from anokit.errors import Interrupted
from anokit.recipe.changes import apply_setting
from anokit.recipe.reading import resolve
from anokit.recipe.toml import to_toml
from anokit.registry.lookup import Registry
from anokit.runs.run import train
from anokit.store.files import write_text
from anokit.store.run_directory import RunDirectory
from anokit.store.tensors import load_metadata, load_tensors
from anokit.training.backbone import build_backbone
from anokit.training.job import Job
from anokit.training.signals import StopRequest
from anokit.watching import Watcher

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


@pytest.fixture(scope="session", autouse=True)
def quicker():
    """Have the command line put together once, and no file waited for until it is on the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.main.get_command", functools.cache(typer.main.get_command))
        patch.setattr("os.fsync", lambda handle: None)
        yield


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
def toys(registry):
    """What the module of the toys that ``registry`` holds defines."""
    fit = registry.get("score", "far").component.load().fit
    return SimpleNamespace(**fit.__globals__)


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


def plain_report(run, results=None):
    """Write a report that takes no time; drawing the real one takes longer than all tests."""
    path = Path(run) / "report.html"
    write_text(path, "<html></html>")
    return path


@pytest.fixture
def no_report(monkeypatch):
    """Have no report drawn from here on in the test."""
    return lambda: [
        monkeypatch.setattr(f"anokit.{module}.write_report", plain_report)
        for module in ("report.html", "runs.run", "runs.scoring", "runs.add_scores", "runs.explain")
    ]


@pytest.fixture
def toykit(anokit, monkeypatch, no_report):
    """Run the command line in this process with the toys alone, and without drawing a report."""
    only_toys(monkeypatch)
    no_report()
    return lambda *arguments: anokit(*arguments, "--plugin", TOYS)


@pytest.fixture(scope="session")
def warm_python(tmp_path_factory):
    """What stands for the interpreter where a test needs a process, not what Python does to start.

    Each is forked from one process that has imported what anokit does (``warm/server.py``), which
    saves seconds. Whatever is about imports, installation or the interpreter starts a real one, and
    so does everything where a process cannot be forked and watched as Linux does.
    """
    if not hasattr(os, "pidfd_open"):
        yield Path(sys.executable)
        return
    folder = tmp_path_factory.mktemp("warm")
    client, socket = folder / "python", folder / "socket"
    source = TOYS.with_name("warm") / "client.py"
    client.write_text(f"#!{sys.executable} -IS\n{source.read_text(encoding='utf-8')}")
    client.chmod(0o700)
    server = subprocess.Popen(
        [sys.executable, source.with_name("server.py"), socket],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
        start_new_session=True,
    )
    assert server.stdout.readline() == b"ready\n"
    yield client
    server.stdin.close()
    server.stdout.close()
    server.wait()


@pytest.fixture
def python(tmp_path):
    """Run Python in a process of its own, with the toys as the only plugin."""

    def start(*arguments, plugins="", limit=120, executable=sys.executable):
        environment = {**os.environ, "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
        environment.pop("ANOKIT_PLUGINS", None)
        if plugins is not None:
            environment["ANOKIT_PLUGINS"] = plugins
        return subprocess.run(
            [executable, *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment,
            timeout=limit,
            check=False,
        )

    return start


@pytest.fixture(scope="session")
def finish(tmp_path_factory):
    """Carry the toy recipe, changed, to its end with its real report; return the run directory."""

    def to_its_end(name, *settings):
        folder = tmp_path_factory.mktemp(name)
        path = folder / "toys.toml"
        path.write_text(to_toml(tables(*settings)))
        with pytest.MonkeyPatch.context() as patch:
            only_toys(patch)
            with pytest.raises(SystemExit) as caught:
                main(["run", str(path), "--plugin", str(TOYS), "--out", str(folder / "run")])
        assert caught.value.code == 0
        return folder / "run"

    return to_its_end


@pytest.fixture(scope="session")
def finish_plainly(tmp_path_factory):
    """Carry the toy recipe, changed and under some name, to its end at a path, without a report."""

    def to_its_end(run, *settings, recipe="toys"):
        path = tmp_path_factory.mktemp("recipe") / f"{recipe}.toml"
        path.write_text(to_toml(tables(*settings)))
        with pytest.MonkeyPatch.context() as patch:
            only_toys(patch)
            patch.setattr("anokit.runs.scoring.write_report", plain_report)
            with pytest.raises(SystemExit) as caught:
                main(["run", str(path), "--plugin", str(TOYS), "--out", str(run)])
        assert caught.value.code == 0
        return run

    return to_its_end


@pytest.fixture(scope="session")
def finished(finish):
    """The directory of one finished toy run, which no test may change."""
    return finish("finished", "dataset.masks=true", "dataset.contamination=0.1")


@pytest.fixture
def job_of(tmp_path):
    """Make a job of a recipe: its data, an untrained backbone, a directory of its own."""

    def make_job(recipe, name="job"):
        data = prepare(recipe.dataset, recipe.seed)
        device = torch.device("cpu")
        backbone = build_backbone(recipe, data.spec, device)
        (tmp_path / name).mkdir(exist_ok=True)
        return Job(recipe, data, backbone, RunDirectory(tmp_path / name, recipe), device)

    return make_job


class Watch(Watcher):
    """Records what the training loop reports; asks it to stop, or crashes it, after some steps."""

    def __init__(self, stop=None, crash=None):
        self.request = StopRequest()
        self.stop, self.crash = stop, crash
        self.steps, self.phases, self.lines, self.warnings, self.total = 0, [], [], [], None

    def training(self, total):
        self.total = total

    def phase(self, phase, number, of, steps, done, *rest):
        self.phases.append((phase.name, number, of, steps, done))

    def step(self, images, seconds):
        self.steps += 1
        self.request.requested = self.steps == self.stop
        if self.steps == self.crash:
            raise KeyboardInterrupt

    def metrics(self, line):
        self.lines.append(line)

    def warning(self, text):
        self.warnings.append(text)


class Training:
    """A recipe's training in one directory, to be interrupted and resumed."""

    def __init__(self, recipe, path):
        path.mkdir(exist_ok=True)
        self.recipe, self.device = recipe, torch.device("cpu")
        self.data = prepare(recipe.dataset, recipe.seed)
        self.directory = RunDirectory(path, recipe)

    def go(self, **watch):
        """Train as a process begun now would; return what was watched and the final weights."""
        seen = Watch(**watch)
        self.backbone = build_backbone(self.recipe, self.data.spec, self.device)
        parts = (self.recipe, self.data, self.backbone, self.directory, self.device)
        train(Job(*parts, seen, seen.request))
        return seen, dict(self.backbone.module.state_dict())

    def stopped(self, steps):
        """Train for some more steps, then be interrupted; return what was watched."""
        with pytest.raises(Interrupted) as caught:
            self.go(stop=steps)
        assert caught.value.exit_code == 130
        return caught.value

    def checkpoint(self):
        """Return the checkpoint's tensors and metadata."""
        path = self.directory.checkpoint
        return load_tensors(path), load_metadata(path)

    def metrics(self):
        """Return the lines of metrics.jsonl but for times."""
        lines = [json.loads(line) for line in self.directory.metrics.read_text().splitlines()]
        return [{k: v for k, v in line.items() if "second" not in k} for line in lines]


@pytest.fixture
def training_of(tmp_path):
    """Prepare the training of a recipe in a directory of that name."""
    return lambda recipe, name="run": Training(recipe, tmp_path / name)


@pytest.fixture
def training(make, training_of):
    """Prepare the training of the toy recipe, changed, in a directory of that name."""
    return lambda *settings, name="run": training_of(make(*settings), name)
