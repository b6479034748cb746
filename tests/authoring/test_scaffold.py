"""`anokit new-plugin`: what it writes works at once; bad requests get one sentence."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from anokit.authoring.scaffold.names import names_for
from anokit.authoring.scaffold.writer import version_range, write_plugin
from anokit.errors import UsageError
from anokit.plugin import KINDS
from anokit.recipe.reading import check_recipe
from anokit.registry import discovery
from anokit.registry.hookspecs import RECIPE_KINDS
from anokit.registry.lookup import Registry
from anokit.testing import collect_checks
from anokit.testing.table import run_checks
from anokit.version import __version__

FILES = {
    ".github/workflows/ci.yml",
    ".github/workflows/publish.yml",
    ".gitignore",
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "pyproject.toml",
    "src/acme_thing/__init__.py",
    "src/acme_thing/plugin.py",
    "src/acme_thing/py.typed",
    "src/acme_thing/thing.py",
    "tests/test_conformance.py",
}
MORE = {
    "backbone": {"src/acme_thing/recipes/thing.toml"},
    "encoder-loss": set(),
    **{kind: {"src/acme_thing/samples.py"} for kind in ("score", "dataset", "watcher")},
}


def write(tmp_path, kind="score", name="acme-thing", **more):
    """Write a plugin below ``tmp_path`` and return its folder."""
    return write_plugin(name, kind, tmp_path / name, **more)[0]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_a_whole_package(tmp_path, kind):
    folder = write(tmp_path, kind)
    found = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert found == FILES | MORE[kind]


def test_every_kind_passes_its_own_tests(tmp_path, warm_python):
    # In one process, which imports torch once; the tutorial's test runs pytest inside a package.
    folders = [write(tmp_path, kind, name=f"acme-own-{kind}") for kind in KINDS]
    code = "import sys, pytest; sys.path[:0] = sys.argv[1].split('|'); pytest.main(sys.argv[2:])"
    places = "|".join(str(folder / "src") for folder in folders)
    options = ["-q", "-W", "error", "-p", "no:cacheprovider", "--import-mode=importlib"]
    done = subprocess.run(
        [warm_python, "-c", code, places, *options, *map(str, folders)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    last = done.stdout.splitlines()[-1]
    assert "passed" in last, done.stdout + done.stderr
    assert "failed" not in last, done.stdout
    assert "error" not in last, done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_its_entry_point_names_a_module_that_offers_the_kind(tmp_path, kind, monkeypatch):
    folder = write(tmp_path, kind, name=f"acme-own-{kind}")
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    (module,) = project["entry-points"]["anokit"].values()
    monkeypatch.syspath_prepend(folder / "src")
    loaded = discovery.load(discovery.FoundPlugin(project["name"], "0.1.0", (module,)))
    assert not loaded.problems
    ((found_kind, name),) = [(e.kind, e.component.name) for e in loaded.entries]
    assert (found_kind, name) == (kind, f"own-{kind}")
    shipped = [recipe.name for recipe in loaded.recipes]
    assert shipped == (["own-backbone"] if kind == "backbone" else [])
    readme = (folder / "README.md").read_text()
    if kind not in RECIPE_KINDS:
        assert f"anokit run RECIPE --{kind[:5]} own-{kind}" in readme
        return
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(readme.partition("```toml\n")[2].partition("```")[0])
    loaded.entries += discovery.discover().entries
    assert check_recipe(recipe, Registry(loaded))
    assert all(check_recipe(Path(name), Registry(loaded)) for name in shipped)


def test_it_depends_on_the_versions_of_anokit_that_it_fits(tmp_path):
    project = tomllib.loads((write(tmp_path) / "pyproject.toml").read_text())["project"]
    assert f"anokit{version_range(__version__)}" in project["dependencies"]


@pytest.mark.parametrize(
    ("version", "expected"),
    [("0.1.0", ">=0.1,<0.2"), ("0.12.3", ">=0.12,<0.13"), ("1.4.2", ">=1.4,<2")],
)
def test_the_range_ends_before_the_next_breaking_version(version, expected):
    assert version_range(version) == expected


def test_a_checkout_of_anokit_becomes_a_source_for_uv(tmp_path, repository):
    text = (write(tmp_path, anokit=repository) / "pyproject.toml").read_text()
    source = tomllib.loads(text)["tool"]["uv"]["sources"]["anokit"]
    assert source == {"path": str(repository), "editable": True}
    with pytest.raises(UsageError, match="expected a checkout of anokit"):
        write(tmp_path, name="acme-other", anokit=tmp_path)


def test_the_workflows_are_no_longer_templates(tmp_path):
    folder = write(tmp_path) / ".github" / "workflows"
    text = (folder / "ci.yml").read_text()
    assert "--python ${{ matrix.python }} pytest" in text
    assert "anokit check-plugin acme_thing.plugin" in text
    assert "uv build" in text
    text = (folder / "publish.yml").read_text()
    assert "id-token: write" in text
    assert "environment: release" in text
    assert "$" not in text


def test_the_licence_is_that_of_anokit(tmp_path, repository):
    folder = write(tmp_path)
    assert (folder / "LICENSE").read_text() == (repository / "LICENSE").read_text()
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert (project["license"], project["license-files"]) == ("Apache-2.0", ["LICENSE"])
    assert "anokit" in project["keywords"]
    assert set(project["urls"]) == {"Homepage", "Changelog"}


KNOWN = '[user]\n\tname = Ada \\"L\\"\n\temail = ada@example.org\n'


@pytest.mark.parametrize(
    ("config", "author"),
    [
        (KNOWN, {"name": 'Ada "L"', "email": "ada@example.org"}),
        ("", {"name": "Your Name"}),
    ],
)
def test_the_author_is_whom_git_knows(tmp_path, monkeypatch, config, author):
    (tmp_path / "config").write_text(config)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.chdir(tmp_path)
    project = tomllib.loads((write(tmp_path) / "pyproject.toml").read_text())["project"]
    assert project["authors"] == [author]


def test_without_git_there_is_an_author_to_be_filled_in(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    project = tomllib.loads((write(tmp_path) / "pyproject.toml").read_text())["project"]
    assert project["authors"] == [{"name": "Your Name"}]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_passes_all_checks_and_its_direction_is_tested(tmp_path, kind, monkeypatch):
    folder = write(tmp_path, kind, name=f"acme-all-{kind}")
    monkeypatch.syspath_prepend(folder / "src")
    results = run_checks(collect_checks(f"acme_all_{kind.replace('-', '_')}.plugin"))
    outcomes = {result.check: result.outcome for result in results}
    assert "failed" not in outcomes.values(), [r for r in results if r.outcome == "failed"]
    if kind == "score":
        assert outcomes["check_score_finds_planted"] == "passed"
    if kind == "dataset":
        read = ("check_dataset_samples", "check_dataset_labels", "check_dataset_repeats")
        assert {outcomes[name] for name in read} == {"passed"}
    if kind != "watcher":
        assert outcomes["check_plugin_readme_recipe"] == "passed"


def test_every_kind_is_in_order_for_ruff_and_mypy(tmp_path, repository):
    folders = [write(tmp_path, kind, name=f"acme-own-{kind}") for kind in KINDS]
    for folder in folders:
        for command in (["check"], ["format", "--check"]):
            checked(["-m", "ruff", *command, "--no-cache"], folder)
    sources = [str(folder / "src") for folder in folders]
    config = folders[0] / "pyproject.toml"
    # What mypy knows of torch is known already where anokit itself was checked.
    known = ["--cache-dir", str(repository / ".mypy_cache")]
    checked(["-m", "mypy", *known, "--config-file", str(config), *sources], tmp_path)


def checked(arguments, folder):
    """Run a module of Python, which has to succeed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_is_overwritten(tmp_path):
    folder = write(tmp_path)
    with pytest.raises(UsageError, match="already and not empty"):
        write(tmp_path)
    (tmp_path / "empty").mkdir()
    write_plugin("acme-thing", "score", tmp_path / "empty")
    with pytest.raises(UsageError, match="already"):
        write_plugin("acme-thing", "score", folder / "README.md")


@pytest.mark.parametrize(
    ("name", "component", "cls"),
    [
        ("acme-angle", "angle", "Angle"),
        ("acme-two-words", "two-words", "TwoWords"),
        ("acme-two-2d", "two-2d", "Two2D"),
    ],
)
def test_the_component_is_called_by_what_follows_the_dash(name, component, cls):
    names = names_for(name)
    assert (names.component, names.cls) == (component, cls)
    assert names.package == name.replace("-", "_")
    assert names.module.isidentifier()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Acme", "lower-case words"),
        ("acme_angle", "lower-case words"),
        ("-acme", "lower-case words"),
        ("acme--angle", "lower-case words"),
        ("../acme", "lower-case words"),
        ("", "lower-case words"),
        ("json", "json is taken in Python"),
        ("class", "class is taken in Python"),
        ("anokit", "anokit is taken in Python"),
        ("acme-" + "x" * 31, "is too long"),
        ("angle", "leaves no name for its component: nothing follows"),
        ("acme-score", "leaves no name for its component: 'score'"),
        ("acme-encoder-loss", "leaves no name for its component: 'encoder-loss'"),
        ("acme-plugin", "leaves no name for its component: 'plugin'"),
        ("acme-2d", "leaves no name for its component: '2d'"),
        ("acme-lambda", "leaves no name for its component: 'lambda'"),
    ],
)
def test_a_bad_name_gets_one_clear_sentence(name, reason):
    with pytest.raises(UsageError, match=reason) as caught:
        names_for(name)
    assert "\n" not in str(caught.value)


def test_the_command_ends_with_what_to_do_next(anokit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = anokit("new-plugin", "acme-thing", "--kind", "dataset")
    assert done.code == 0
    listed, _, following = done.out.partition("\nNext:\n")
    found = {str(Path(line).relative_to("acme-thing")) for line in listed.split()}
    assert found == FILES | MORE["dataset"]
    assert len(following.splitlines()) == 3
    assert "anokit check-plugin acme_thing.plugin" in following
    again = anokit("new-plugin", "acme-thing")
    assert again.code == 2
    assert again.err.startswith("error: acme-thing: is there already")
