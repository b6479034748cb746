"""Commands that write, each in a process of its own, where a file operation meets a fault."""

import json
import os
import random
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anokit.runs.add_scores import add_scores
from anokit.store.run_directory import RunDirectory, RunState
from anokit.store.tensors import load_tensors
from anokit.store.undo import UNDO

EXTRA = '[[scores]]\nname = "near"\nuse = "far"\nmost = 30\n'
TIMES = ("seconds", "images_per_second", "ms_per_image")
REPLACING = EXTRA.replace("30", "20")
COMMANDS = ("run", "scan", "score", "add-scores", "replace", "explain", "report", "suspects")
SCAN = """
title = "Small"
[dataset]
use = "image-folder"
root = "elsewhere"
[backbone]
use = "linear"
images = 32
[[scores]]
use = "error"
[training]
checkpoint_minutes = 0
log_every = 5
[evaluation]
resamples = 20
"""


def pytest_generate_tests(metafunc):
    if "command" in metafunc.fixturenames:
        metafunc.parametrize("command", COMMANDS)


def some_of(every, slice_of):
    """Return what is tried of all attempts: all, as many as are asked for, or a slice.

    They come in a seeded order, so that a count that is broken off has tried some of every kind.
    """
    every = list(every)
    wanted = os.environ.get("ANOKIT_ATTEMPTS", str(slice_of))
    count = len(every) if wanted == "all" else min(int(wanted), len(every))
    return random.Random(0).sample(every, count)


@pytest.fixture(scope="session")
def chosen():
    return some_of


@pytest.fixture(scope="module")
def attempt(tmp_path_factory, warm_python):
    """Carry out a command, which meets a fault at its N-th file operation below a folder."""
    folder = tmp_path_factory.mktemp("attempts")
    program, counter = Path(__file__).with_name("attempts.py"), folder / "counter"
    environment = {**os.environ, "ANOKIT_PLUGINS": "anokit-datasets", "COLUMNS": "400"}

    def call(below, arguments, fault="", at=0, **limits):
        wanted = {"arguments": [str(one) for one in arguments], "folder": str(below)}
        wanted |= {"fault": fault, "at": at, "counter": str(counter), **limits}
        counter.write_text("")
        with (folder / "log").open("wb") as log:
            code = subprocess.run(
                [warm_python, program, json.dumps(wanted)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                check=False,
            ).returncode
        return {
            "code": None if code < 0 else code,
            "operations": int(counter.read_text() or 0),
            "log": (folder / "log").read_text(errors="replace"),
        }

    return call


@dataclass
class Scene:
    """A command that writes below a folder, which is laid out before it."""

    name: str
    folder: Path
    before: Path | None
    """what the folder holds before; None where it is not there"""
    arguments: tuple
    code: int = 0
    """its exit code where nothing goes wrong"""
    plugins: tuple = field(default=())

    def begin(self):
        """Lay the folder out anew."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.before is not None:
            shutil.copytree(self.before, self.folder)

    def again(self):
        """Return what whoever was stopped calls next: the same, or what goes on; None: nothing."""
        directory = RunDirectory(self.folder)
        if self.name == "add-scores":
            rows = json.loads(directory.results.read_text())["rows"]
            # Where it is done but for taking away what was, any command that reads the run does.
            done = "near" in [row["name"] for row in rows] and not (self.folder / UNDO).exists()
            return ("report", self.folder) if done else self.arguments
        if self.name not in ("run", "scan") or directory.state is RunState.BEGUN:
            return self.arguments
        recipe = self.arguments[1] if self.name == "run" else self.folder / "recipe.toml"
        return ("run", recipe, *self.plugins, "--resume", self.folder)

    def left(self):
        """Return all that must be the same after a fault, by relative name."""
        found = {}
        for path in sorted(self.folder.rglob("*")):
            name = path.relative_to(self.folder).as_posix()
            found[name] = content(path) if path.is_file() else None
        return found


def content(path):
    """Return what a file says, times apart."""
    if path.suffix == ".safetensors":
        return {name: tensor.tolist() for name, tensor in load_tensors(path).items()}
    if path.name == "environment.json":
        return None  # when it was begun, and by which arguments
    text = path.read_bytes()
    if path.suffix == ".json" or (path.name == "report.html" and text[:1] == b"{"):
        return without_times(json.loads(text))
    if path.name == "metrics.jsonl":
        return [without_times(json.loads(line)) for line in path.read_text().splitlines()]
    return text


def without_times(value):
    if isinstance(value, dict):
        return {name: without_times(one) for name, one in value.items() if name not in TIMES}
    return [without_times(one) for one in value] if isinstance(value, list) else value


@pytest.fixture
def scene(command, finished, recipe_file, tmp_path, toys_file, no_report):
    """Return the scene of a command."""
    plugins = ("--plugin", toys_file)
    folder, empty = tmp_path / "out", tmp_path / "empty"
    known = (*plugins, "--device", "cpu")
    empty.mkdir()
    photos = tmp_path / "photos"
    if command in ("score", "scan"):
        rng = np.random.default_rng(0)
        photos.mkdir()
        for number in range(20):
            pixels = rng.integers(0, 256, (8, 8), np.uint8)
            Image.fromarray(pixels).save(photos / f"{number}.png")
    if command == "run":
        recipe = recipe_file("training.checkpoint_minutes=0", "training.log_every=5")
        return Scene(command, folder, None, ("run", recipe, *plugins, "--out", folder), 0, plugins)
    if command == "scan":
        recipe = tmp_path / "small.toml"
        recipe.write_text(SCAN)
        where = ("--recipe", recipe, "--out", folder, "--top", "3")
        return Scene(command, folder, None, ("scan", photos, *plugins, *where), 0, plugins)
    if command == "score":
        (photos / "broken.png").touch()
        where = ("--out", folder / "s.csv", "--maps", folder / "maps")
        return Scene(command, folder, empty, ("score", finished, photos, *known, *where), 1)
    if command == "add-scores":
        scores = tmp_path / "extra.toml"
        scores.write_text(EXTRA)
        arguments = ("add-scores", folder, "--scores", scores, *known)
    elif command == "replace":
        before, scores = tmp_path / "before", tmp_path / "extra.toml"
        shutil.copytree(finished, before)
        scores.write_text(EXTRA)
        no_report()
        add_scores(before, scores, device="cpu", plugins=[toys_file])
        scores.write_text(REPLACING)
        where = ("--scores", scores, "--replace")
        return Scene(command, folder, before, ("add-scores", folder, *where, *known))
    elif command == "explain":
        arguments = ("explain", folder, "--score", "far", *known)
    elif command == "suspects":
        arguments = ("suspects", folder, "--top", "5", *known)
    else:
        arguments = ("report", folder)
    return Scene(command, folder, finished, arguments)
