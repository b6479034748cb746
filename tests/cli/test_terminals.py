"""Terminals and files as other systems have them: no traceback for an encoding."""

import codecs
import json
import os
import shlex
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image


@pytest.mark.parametrize("encoding", ["ascii", "cp932"])
def test_output_in_another_encoding_is_escaped_not_lost(
    encoding, recipe_file, toys_file, tmp_path, warm_python
):
    path = recipe_file("title=Größe ≤ 5 · σ é")
    here = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "ANOKIT_PLUGINS": ""}
    found = subprocess.run(
        [warm_python, "-m", "anokit", "run", path, "--plugin", toys_file, "--dry-run"],
        capture_output=True,
        cwd=tmp_path,
        env={**os.environ, **here},
        timeout=120,
        check=False,
    )
    said = found.stderr.decode(encoding)
    assert found.returncode == 0, said
    assert "Traceback" not in said
    shown = found.stdout.decode(encoding)
    assert "Training on cpu" in shown
    assert ("é" in shown) != (r"\xe9" in shown)


def test_a_recipe_with_a_mark_and_windows_line_ends_is_read(recipe_file, toykit):
    path = recipe_file()
    text = path.read_text(encoding="utf-8").replace("\n", "\r\n")
    path.write_bytes(codecs.BOM_UTF8 + text.encode())
    found = toykit("check", path)
    assert found.code == 0, found.err


DESCRIBING = [
    "--help",
    "run --help",
    "list-plugins",
    "recipes",
    "describe score light --plugin light.py",
    "schema",
]
LIGHT = """
from anokit import Component, hookimpl

@hookimpl
def anokit_scores():
    needs = frozenset({"image"})
    yield Component(name="light", summary="Größe ≤ 5", factory="light:Light", needs=needs)
"""
ENVIRONMENTS = {
    "ascii": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii:strict"},
    "code page": {"PYTHONUTF8": "0", "PYTHONIOENCODING": "gbk:strict"},
    "western code page": {"PYTHONUTF8": "0", "PYTHONIOENCODING": "cp1252:strict"},
    "japanese code page": {"PYTHONUTF8": "0", "PYTHONIOENCODING": "cp932:strict"},
    "no home, narrow": {"HOME": "", "COLUMNS": "20"},
    "no colour": {"NO_COLOR": "1", "FORCE_COLOR": "1"},
}


@pytest.fixture
def shell(toys_file, tmp_path):
    """Run a shell command in which anokit stands for the command line with the toys."""

    def start(command, **environment):
        here = {**os.environ, "ANOKIT_PLUGINS": "", "OMP_NUM_THREADS": "1", **environment}
        if here.get("HOME") == "":
            del here["HOME"]
        found = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command.replace("TOYS", shlex.quote(str(toys_file)))],
            capture_output=True,
            cwd=tmp_path,
            env=here,
            timeout=600,
            check=False,
        )
        assert b"Traceback" not in found.stdout + found.stderr, found.stderr.decode()
        assert b"Exception ignored" not in found.stderr
        return found

    return start


FOLDERS = "anokit-datasets"
PLAIN = """
[dataset]
use = "image-folder"
root = "photos"
size = 8
[backbone]
use = "linear"
images = 32
[[scores]]
use = "far"
"""


@pytest.fixture
def folder_of_photos(tmp_path):
    """A folder of images with names that few terminals can print, and a recipe to scan it by."""
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    (tmp_path / "plain.toml").write_text(PLAIN)
    for name in ("a b.png", "größe.png", "日本.png", "two\nlines.png", "[bold]x.png"):
        values = rng.integers(0, 256, (8, 8), np.uint8)
        Image.fromarray(values).save(tmp_path / "photos" / name)


ANOKIT = f"{shlex.quote(sys.executable)} -m anokit"

SEVERAL = """
import os, shlex, sys
from anokit.cli.app import main

for line in sys.argv[1:]:
    words = shlex.split(line)
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        os.environ[name] = value
        if not value:
            del os.environ[name]
    try:
        main(words)
    except SystemExit as done:
        if done.code:
            raise
"""


@pytest.fixture
def several(shell, tmp_path):
    """Run command lines one after another in one process, whose imports take longer than they.

    Before a command may stand variables that it and what follows are to see: ``NAME=value``.
    """
    (tmp_path / "several.py").write_text(SEVERAL)

    def run(lines, after="", python=sys.executable, **environment):
        quoted = " ".join(f'"{line}"' for line in lines)
        return shell(f"{shlex.quote(str(python))} several.py {quoted} {after}", **environment)

    return run


@pytest.mark.parametrize("way", ENVIRONMENTS)
def test_what_only_describes_goes_through_every_terminal(way, several, tmp_path):
    (tmp_path / "light.py").write_text(LIGHT, encoding="utf-8")
    found = several(DESCRIBING, **ENVIRONMENTS[way])
    assert found.returncode == 0, found.stderr
    assert b"\x1b" not in found.stdout


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("--help > /dev/full", 1, b"what is printed cannot be written: No space left"),
        ("schema > /dev/full", 1, b"what is printed cannot be written: No space left"),
        ("check nosuch.toml 2> /dev/full", 1, b""),
        ("list-plugins > /dev/full 2> /dev/full", 1, b""),
        ("schema | true", 1, b""),
        ("recipes >&- 2>&-", 0, b""),
        ("recipes <&-", 0, b""),
    ],
)
def test_output_that_goes_nowhere_ends_in_a_sentence(command, code, said, shell):
    found = shell(f"{ANOKIT} {command}")
    assert found.returncode == code, found.stderr
    assert said in found.stderr
    assert bool(found.stderr) == bool(said)


def test_work_goes_on_where_nobody_reads_any_more(recipe_file, several, tmp_path, warm_python):
    Image.new("L", (8, 8), 90).save(tmp_path / "a.png")
    (tmp_path / "more.toml").write_text('[[scores]]\nname = "more"\nuse = "error"\n')
    lines = (
        f"run {recipe_file()} --plugin TOYS --out run",
        "score run a.png --plugin TOYS --out scores.csv",
        "add-scores run --scores more.toml --plugin TOYS",
    )
    found = several(lines, after="| true", python=warm_python)
    assert found.returncode == 0, found.stderr
    assert found.stderr == b""
    rows = json.loads((tmp_path / "run" / "results.json").read_text())["rows"]
    assert rows[-1]["name"] == "more"
    assert (tmp_path / "scores.csv").exists()


# The others differ in characters and colours alone, which the tests above are about.
@pytest.mark.parametrize("way", ["ascii", "no home, narrow"])
def test_all_that_works_goes_through_every_terminal(way, folder_of_photos, recipe_file, several):
    environment = {**ENVIRONMENTS[way], "ANOKIT_PLUGINS": FOLDERS}
    commands = [
        "scan photos --recipe plain.toml --plugin TOYS --out run --device cpu",
        "score run photos --plugin TOYS",
        "suspects run --plugin TOYS",
    ]
    if way == "ascii":
        run = f"run {recipe_file()} --plugin TOYS --out other"
        commands.append(f"HOME= COLUMNS=20 NO_COLOR=1 {run}")
    found = several(commands, **environment)
    assert found.returncode == 0, found.stderr
    assert found.stderr == b""
    assert b"\x1b" not in found.stdout
    if way == "ascii":
        assert found.stdout.isascii()


WARNS = """
import logging, sys, warnings
from anokit.cli import app

def noisy():
    for _ in range(2):
        warnings.warn_explicit("an odd\\nimage", UserWarning, "x/site-packages/PIL/Image.py", 7)
        logging.getLogger("tifffile.pages").warning("tag %d is odd", 5)

app.app.command("noisy")(noisy)
app.main(["noisy"])
"""


def test_what_libraries_warn_of_is_a_sentence_said_once(tmp_path):
    found = subprocess.run(
        [sys.executable, "-c", WARNS.replace("\\\\", "\\")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "ANOKIT_PLUGINS": ""},
        timeout=600,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert found.stderr.splitlines() == [
        "warning: PIL says: an odd image",
        "warning: tifffile says: tag 5 is odd",
    ]
