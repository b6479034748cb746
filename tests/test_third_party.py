"""Somebody else's plugin, with pip alone: real wheels in a fresh environment elsewhere.

anokit, its plugins and what is under test come from wheels built here. The packages that these need
(torch and so on) are lent by the environment that runs the tests, since nothing may be downloaded
twice.
"""

import base64
import csv
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
TUTORIAL = REPOSITORY / "docs" / "tutorial-score.md"
EXECUTABLES = "Scripts" if os.name == "nt" else "bin"

# One worker of pytest-xdist has the wheels and environments, so that they are made once.
pytestmark = pytest.mark.xdist_group("wheels")


def call(*arguments, cwd, check=True, **environment):
    """Run a command; on failure the test shows what it printed."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("ANOKIT_", "PYTHON"))}
    variables |= {"OMP_NUM_THREADS": "1", "COLUMNS": "200", **environment}
    done = subprocess.run(
        [str(argument) for argument in arguments],
        cwd=cwd,
        env=variables,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert not check or done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="session")
def lent(tmp_path_factory):
    """Every installed package but anokit and its plugins, as links in one folder."""
    folder = tmp_path_factory.mktemp("lent")
    for item in Path(sysconfig.get_paths()["purelib"]).iterdir():
        ours = re.match(r"(_*editable_*_?(impl_)?)?anokit", item.name)
        if not ours and item.suffix != ".pth":
            (folder / item.name).symlink_to(item)
    return folder


@pytest.fixture(scope="session")
def wheels(tmp_path_factory):
    """Wheels of anokit and of every package of the workspace."""
    folder = tmp_path_factory.mktemp("wheels")
    call("uv", "build", "--all-packages", "--wheel", "--out-dir", folder, cwd=REPOSITORY)
    found = sorted(folder.glob("*.whl"))
    assert any(path.name.startswith("anokit-") for path in found)
    return found


class Environment:
    """A virtual environment of its own, and a folder to work in."""

    def __init__(self, folder, lent):
        self.folder = folder
        self.work = folder / "work"
        self.work.mkdir(parents=True)
        self.venv = folder / "venv"
        call("uv", "venv", "--python", sys.executable, self.venv, cwd=folder)
        self.bin = self.venv / EXECUTABLES
        (site,) = self.venv.glob("lib/python*/site-packages")
        (site / "lent.pth").write_text(f"{lent}\n")

    def install(self, *what, cwd=None):
        """Install wheels or projects, without what they depend on."""
        command = ["uv", "pip", "install", "--no-deps", "--python", self.venv]
        return call(*command, *what, cwd=cwd or self.work)

    def run(self, command, cwd=None, check=True, **variables):
        """Run a command line with this environment's programs first on the path."""
        path = f"{self.bin}{os.pathsep}{os.environ['PATH']}"
        where = cwd or self.work
        return call("bash", "-c", command, cwd=where, check=check, PATH=path, **variables)

    def several(self, *lines):
        """Carry out command lines of anokit in one process, whose imports take longer than they."""
        (self.folder / "several.py").write_text(SEVERAL)
        return self.run(shlex.join(["python", str(self.folder / "several.py"), *lines])).stdout


SEVERAL = """
import shlex, sys
from anokit.cli.app import main

for line in sys.argv[1:]:
    if "\\n" in line:
        exec(line)
        continue
    try:
        main(shlex.split(line))
    except SystemExit as done:
        if done.code:
            raise
    print(flush=True)
"""
"""Command lines, or pieces of Python of several lines."""


@pytest.fixture(scope="session")
def environment(tmp_path_factory, lent, wheels):
    """An environment with anokit and all its plugins."""
    made = Environment(tmp_path_factory.mktemp("fresh"), lent)
    made.install(*wheels)
    return made


# The tutorial

FENCE = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def transcript(block):
    """Return commands and the output that a console block shows for each."""
    parts = re.split(r"^\$ (.+)\n", block, flags=re.MULTILINE)
    assert not parts[0], "a console block begins with a command"
    return list(zip(parts[1::2], parts[2::2], strict=True))


def matches(shown, got):
    """Return whether an output is what a page shows, where … stands for anything."""
    # One space for several: columns are as wide as what else is installed.
    pattern = ".*".join(re.escape(" ".join(part.split())) for part in shown.split("…"))
    return re.fullmatch(rf"\s*{pattern}\s*", " ".join(got.split()), re.DOTALL)


@pytest.fixture(scope="session")
def tutorial(environment):
    """Do all that the tutorial says, in a fresh environment; the folder that it leaves."""
    for language, title, text in FENCE.findall(TUTORIAL.read_text(encoding="utf-8")):
        if title:
            path = environment.work / title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            continue
        assert language == "console", f"a block that nobody executes: {text}"
        for command, shown in transcript(text):
            if command.startswith("pip install "):
                done = environment.install(*command.split()[2:])
            else:
                done = environment.run(command)
            assert matches(shown, done.stdout + done.stderr), (
                f"$ {command}\n{done.stdout}{done.stderr}\nThe page shows:\n{shown}"
            )
    return environment.work


def test_what_the_tutorial_builds_passes_every_check_where_it_is_installed(environment, tutorial):
    environment.run("anokit check-plugin acme-angle", cwd=tutorial)


PLANTED = """
from anokit.testing import collect_checks
for check in collect_checks("acme_own_score.plugin"):
    if check.name in ("check_score_finds_planted", "check_plugin_readme_recipe"):
        check()
"""


def test_a_new_plugin_of_every_kind_passes_every_check_where_it_is_installed(environment):
    kinds = ("score", "encoder-loss", "backbone", "dataset", "watcher")
    for kind in kinds:
        environment.run(f"anokit new-plugin acme-own-{kind} --kind {kind}")
    environment.install(*(part for kind in kinds for part in ("-e", f"acme-own-{kind}")))
    environment.several(*(f"check-plugin acme-own-{kind}" for kind in kinds), PLANTED)


def test_the_tutorial_can_be_followed_to_the_letter(tutorial):
    assert (tutorial / "acme-angle" / "dist").is_dir()


def test_added_scores_stand_beside_the_original_results(tutorial):
    run = tutorial / "runs" / "digits"
    results = json.loads((run / "results.json").read_text())
    names = [row["name"] for row in results["rows"]]
    assert names == ["lr", "lo", "angle", "angle-1"]
    assert [bool(row.get("added")) for row in results["rows"]] == [False, False, True, True]
    assert results["primary"] == "lr"
    (head, *_) = csv.reader((run / "scores.csv").read_text().splitlines())
    assert head == ["id", "label", "kind", *names]
    assert "added later" in (run / "report.html").read_text()
    assert set(json.loads((run / "added.json").read_text())) == {"angle", "angle-1"}
    assert len(list((run / "scores").glob("angle-*.safetensors"))) == 2


def test_the_built_wheel_works_in_another_environment(tutorial, tmp_path, lent, wheels):
    (wheel,) = (tutorial / "acme-angle" / "dist").glob("*.whl")
    other = Environment(tmp_path, lent)
    other.install(*wheels, wheel)
    done = other.run("anokit list-plugins --strict --json")
    components = json.loads(done.stdout)["components"]
    assert "acme-angle/angle" in [component["qualified"] for component in components]
    recipe = (tutorial / "sum.toml").read_text() + (
        "[quick.backbone]\nlatent_size = 4\nmax_channels = 4\nimages = 64\nbatch_size = 16\n"
        "[quick.evaluation]\nresamples = 10\n"
    )
    (other.work / "sum.toml").write_text(recipe)
    run = "run sum.toml --quick --out done --device cpu"
    said = other.several(run, "check-plugin acme-angle --json")
    checked = json.loads(said[said.rindex("\n{\n") :])
    assert {result["outcome"] for result in checked["checks"]} == {"passed", "skipped"}
    results = json.loads((other.work / "done" / "results.json").read_text())
    assert [row["name"] for row in results["rows"]] == ["lr-and-angle"]
    plugins = json.loads((other.work / "done" / "environment.json").read_text())["plugins"]
    assert plugins["acme-angle"] == "0.1.0"


def test_wheels_state_what_they_need_and_it_is_there(environment):
    code = """
import importlib.metadata as metadata
from packaging.requirements import Requirement
for dist in metadata.distributions():
    if dist.metadata["Name"].startswith("anokit"):
        for text in dist.requires or ():
            need = Requirement(text)
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                assert need.specifier.contains(metadata.version(need.name)), (dist.name, text)
        print(dist.name)
"""
    (environment.folder / "needs.py").write_text(code)
    names = environment.run(f"python {environment.folder / 'needs.py'}").stdout.split()
    assert "anokit" in names
    assert len(names) > 5


# Plugins as they were released: what was published for one 0.x goes on working

RELEASED = sorted((REPOSITORY / "tests" / "compat").glob("acme-*-0.1.0"))


@pytest.fixture(scope="session")
def released(tmp_path_factory, lent, wheels):
    """An environment with the example plugins as they were released for anokit 0.1, from wheels."""
    made = Environment(tmp_path_factory.mktemp("released"), lent)
    for source in RELEASED:
        copy = shutil.copytree(source, made.folder / source.name)
        call("uv", "build", "--wheel", "--out-dir", made.folder / "dist", cwd=copy)
    made.install(*wheels, *sorted((made.folder / "dist").glob("*.whl")))
    rng = np.random.default_rng(0)
    for name in ("train", "test"):
        images = rng.integers(0, 256, (40, 1, 16, 16)).astype(np.uint8)
        np.save(made.work / f"{name}.npy", images)
    np.save(made.work / "labels.npy", np.arange(40) % 2)
    (made.work / "together.toml").write_text(
        '[dataset]\nuse = "data"\nroot = "."\n[backbone]\nuse = "model"\nlatent_size = 4\n'
        'width = 2\nimages = 64\nbatch_size = 16\n[[scores]]\nuse = "angle"\n'
        "[evaluation]\nresamples = 10\n"
    )
    checks = [f"check-plugin {path.name.removesuffix('-0.1.0')}" for path in RELEASED]
    run = "run together.toml --out done --device cpu --watch ledger"
    made.checked = made.several(run, *checks)
    return made


def test_released_plugins_still_keep_the_contract(released):
    assert released.checked.count(" passed") == len(RELEASED), released.checked


def test_released_plugins_still_work_together(released):
    assert len(RELEASED) == 5, "one of every kind"
    listed = json.loads(released.run("anokit list-plugins --strict --json").stdout)
    ours = {c["kind"] for c in listed["components"] if c["qualified"].startswith("acme-")}
    assert ours == {"backbone", "dataset", "encoder-loss", "score", "watcher"}
    results = json.loads((released.work / "done" / "results.json").read_text())
    assert [row["name"] for row in results["rows"]] == ["angle"]
    assert "angle" in (released.work / "ledger.csv").read_text()


# Broken plugins

GOOD = """
from anokit import Component, hookimpl

@hookimpl
def anokit_scores():
    yield Component(name="{name}", summary="A score", factory="nowhere:Thing",
                    needs=frozenset({{"image"}}))
"""

BROKEN = {
    "acme-no-import": ("import a_module_that_is_not_there", (), "No module named"),
    "acme-raises": (
        GOOD.format(name="r").replace("yield", "1 / 0; yield"),
        (),
        "ZeroDivisionError: division by zero",
    ),
    "acme-rubbish": (
        "from anokit import hookimpl\n@hookimpl\ndef anokit_scores():\n    return ['lr']\n",
        (),
        "returned a str, expected anokit.Component",
    ),
    "acme-unknown-hook": (
        "from anokit import hookimpl\n@hookimpl\ndef anokit_score():\n    return []\n",
        (),
        "unknown hook anokit_score",
    ),
    "acme-too-old": ("raise AssertionError", ("anokit<0.1",), "not loaded: needs anokit<0.1"),
    "acme-too-new": ("raise AssertionError", ("anokit>=99",), "not loaded: needs anokit>=99"),
    "acme-clash-one": (GOOD.format(name="twin"), (), "is offered by another plugin too"),
    "acme-clash-two": (GOOD.format(name="twin"), (), "is offered by another plugin too"),
}


def write_wheel(folder, name, code, requires=("anokit>=0.1,<0.2",), version="1.0"):
    """Write a wheel by hand: one module and its metadata."""
    package = name.replace("-", "_")
    info = f"{package}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {text}\n" for text in requires)
    files = {
        f"{package}.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[anokit]\n{package} = {package}\n",
    }
    lines = []
    for path, text in files.items():
        digest = hashlib.sha256(text.encode()).digest()
        code_of = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        lines.append(f"{path},sha256={code_of},{len(text.encode())}\n")
    files[f"{info}/RECORD"] = "".join([*lines, f"{info}/RECORD,,\n"])
    wheel = folder / f"{package}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel


@pytest.fixture(scope="session")
def broken(tmp_path_factory, lent, wheels):
    """An environment with one good plugin of somebody else's and one of each broken kind."""
    made = Environment(tmp_path_factory.mktemp("broken"), lent)
    others = made.folder / "others"
    others.mkdir()
    made.install(
        *wheels,
        write_wheel(others, "acme-good", GOOD.format(name="good")),
        *(write_wheel(others, name, code, needs) for name, (code, needs, _) in BROKEN.items()),
    )
    again = made.folder / "again"
    second = write_wheel(made.folder, "acme-good", GOOD.format(name="good"), version="2.0")
    made.install("--target", again, second)
    made.listed = made.run("anokit list-plugins --json", PYTHONPATH=str(again))
    return made


@pytest.mark.parametrize("name", [*BROKEN, "acme-good"])
def test_a_broken_plugin_is_a_problem_with_its_reason(broken, name):
    problems = json.loads(broken.listed.stdout)["problems"]
    messages = [problem["message"] for problem in problems if problem["plugin"] == name]
    expected = BROKEN[name][2] if name in BROKEN else "installed twice: 2.0 in"
    assert len(messages) == 1
    assert expected in messages[0]


def test_broken_plugins_cost_nobody_else_anything(broken):
    found = {c["qualified"] for c in json.loads(broken.listed.stdout)["components"]}
    assert {"acme-good/good", "acme-clash-one/twin", "acme-clash-two/twin"} <= found
    assert {"anokit-scores/lr", "anokit-pgan/pgan", "anokit-datasets/digits"} <= found


def test_installed_packages_bring_their_recipes(broken):
    listed = json.loads(broken.run("anokit recipes --json").stdout)["recipes"]
    packages = {recipe["name"]: recipe["plugin"] for recipe in listed}
    assert packages["quickstart"] == "anokit-pgan"
    assert packages["your_folder"] == "anokit-timm"
    assert broken.run("anokit check quickstart").stdout == "quickstart: ok\n"


def test_a_strict_listing_fails_and_debugging_shows_tracebacks(broken):
    done = broken.run("anokit list-plugins --strict", check=False, ANOKIT_DEBUG="1")
    assert done.returncode == 1
    assert "acme-good 1.0" in done.stdout
    assert "Traceback" in done.stderr
    assert "Traceback" not in broken.run("anokit list-plugins").stderr


def test_recipes_still_check_and_a_clash_is_said_where_it_is_used(broken):
    recipe = (
        '[dataset]\nuse = "digits"\n[backbone]\nuse = "pgan"\n'
        '[[encoder-losses]]\nuse = "di"\n[[scores]]\nuse = "{}"\n'
    )
    for name in ("good", "acme-clash-two/twin"):
        (broken.work / "recipe.toml").write_text(recipe.format(name))
        broken.run("anokit check recipe.toml")
    (broken.work / "recipe.toml").write_text(recipe.format("twin"))
    done = broken.run("anokit check recipe.toml", check=False)
    assert done.returncode == 2
    assert 'write "acme-clash-one/twin" or "acme-clash-two/twin"' in done.stderr
