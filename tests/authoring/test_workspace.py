"""Pages of a checkout are about the workspace's own packages, whatever else is installed."""

import sys
from pathlib import Path

import pytest

from anokit.authoring import sources, workspace
from anokit.errors import UsageError

PLUGIN = """
from anokit import Component, hookimpl

@hookimpl
def anokit_scores():
    return [Component(name="{score}", summary="A score", factory="nowhere:Thing")]

@hookimpl
def anokit_recipes():
    from pathlib import Path
    return Path(__file__).with_name("recipes").glob("*.toml")
"""
RECIPE = """
title = "Of somebody else"
[dataset]
use = "digits"
normal = [0]
[backbone]
use = "pixels"
[[scores]]
use = "pixel-knn"
"""
HELPERS = '''"""Helpers, for others."""

raise RuntimeError("imported")

__all__ = ["twice"]


def twice(number: float) -> float:
    """Return twice a number."""
    return 2 * number
'''


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Fabricate installed plugins, each of which offers one score."""
    place = tmp_path / "site"
    place.mkdir()
    monkeypatch.syspath_prepend(place)
    before = set(sys.modules)

    def fabricate(name, score):
        module = name.replace("-", "_")
        info = place / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[anokit]\nit = {module}.plugin\n")
        (place / module / "recipes").mkdir(parents=True)
        (place / module / "__init__.py").write_text("")
        (place / module / "plugin.py").write_text(PLUGIN.format(score=score))
        return place / module

    yield fabricate
    for name in set(sys.modules) - before:
        del sys.modules[name]


def project(folder, name, more=""):
    """Write a pyproject.toml."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(f'[project]\nname = "{name}"\n{more}')


@pytest.fixture
def workshop(tmp_path, install):
    """A workspace of somebody's with an installed member, beside a plugin that is not of it."""
    root = tmp_path / "workshop"
    members = '[tool.uv.workspace]\nmembers = ["parts/*"]\nexclude = ["parts/old"]\n'
    project(root, "workshop", members)
    public = '[tool.anokit]\npublic = ["kit_own.helpers"]\n'
    project(root / "parts" / "own", "Kit.Own", public)
    project(root / "parts" / "old", "kit-old")
    (root / "parts" / "notes").mkdir()
    (install("kit-own", "own-score") / "helpers.py").write_text(HELPERS)
    install("kit-foreign", "foreign-score")
    install("kit-old", "old-score")
    return root


def test_pages_of_this_checkout_do_not_depend_on_what_else_is_installed(
    anokit, repository, install
):
    """A score and a recipe of somebody else; the score is called as one of ours."""
    folder = install("kit-foreign", "knn")
    (folder / "recipes" / "foreign.toml").write_text(RECIPE)
    assert "kit-foreign" in anokit("list-plugins").out
    done = anokit("docs", "--check", "--out", repository / "docs")
    assert (done.code, done.out) == (0, "")


def test_pages_of_a_workspace_are_about_its_members(anokit, workshop):
    folder = workshop / "docs"
    assert anokit("docs", "--out", folder).code == 0
    text = (folder / "components.md").read_text()
    assert "score `own-score`" in text
    assert "foreign-score" not in text
    assert "old-score" not in text
    assert "pixel-knn" not in text
    assert "kit_foreign.plugin" not in sys.modules


def test_elsewhere_pages_are_about_all_that_is_installed(anokit, workshop, tmp_path):
    folder = tmp_path / "pages"
    assert anokit("docs", "--out", folder).code == 0
    text = (folder / "components.md").read_text()
    assert "score `own-score`" in text
    assert "score `foreign-score`" in text
    assert "score `pixel-knn`" in text
    assert [path.name for path in folder.glob("api*")] == ["api.md"]
    assert "Public modules of plugins" not in (folder / "api.md").read_text()


def test_a_file_that_is_given_is_described_too(anokit, workshop, tmp_path):
    one = tmp_path / "one_file.py"
    one.write_text(PLUGIN.format(score="score-of-a-file"))
    assert anokit("docs", "--out", workshop / "docs", "--plugin", one).code == 0
    text = (workshop / "docs" / "components.md").read_text()
    assert "score `score-of-a-file`" in text
    assert "foreign-score" not in text


def test_public_modules_of_a_member_have_a_page_and_are_not_imported(anokit, workshop):
    folder = workshop / "docs"
    assert anokit("docs", "--out", folder).code == 0
    assert "[kit-own](api-kit-own.md)" in (folder / "api.md").read_text()
    page = (folder / "api-kit-own.md").read_text()
    assert "def twice(number: float) -> float" in page
    assert anokit("docs", "--check", "--out", folder).code == 0
    (folder / "api-kit-own.md").unlink()
    assert anokit("docs", "--check", "--out", folder).code == 1


def test_packages_are_those_of_the_workspace_from_any_folder_in_it(workshop):
    expected = [("workshop", ()), ("kit-own", ("kit_own.helpers",))]
    for folder in (workshop, workshop / "docs" / "later", workshop / "parts" / "own"):
        assert workspace.packages(folder) == expected
    assert workspace.packages(workshop.parent) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("public = [", "cannot be read as TOML"),
        ('[tool.anokit]\npublic = "kit_own"\n', "[tool.anokit] public is 'kit_own', expected"),
        ("[tool.anokit]\npublic = [3]\n", "[tool.anokit] public is [3], expected"),
        ('[tool.anokit]\npublic = ["kit_own.lost"]\n', "module kit_own.lost"),
        ('[tool.anokit]\npublic = ["kit_lost"]\n', "module kit_lost"),
    ],
)
def test_what_is_wrong_in_a_member_is_one_sentence(anokit, workshop, text, said):
    project(workshop / "parts" / "own", "kit-own", text)
    done = anokit("docs", "--out", workshop / "docs")
    assert done.code == 2
    assert said in done.err
    assert done.err.count("\n") == 1


def test_a_text_may_name_constants_of_its_module_and_of_others(tmp_path, monkeypatch):
    place = tmp_path / "kit_texts"
    place.mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    (place / "__init__.py").write_text("")
    (place / "sizes.py").write_text("LEAST = 160\n")
    (place / "options.py").write_text('from kit_texts.sizes import LEAST\n\nUNIT = "px"\n')
    assert sources.evaluated("'as it is'", "kit_texts.options") == "as it is"
    assert sources.evaluated("f'{LEAST} {UNIT} ' 'at least'", "kit_texts.options") == (
        "160 px at least"
    )


def test_a_module_that_is_not_installed_is_one_sentence():
    with pytest.raises(UsageError, match=r"module kit_nowhere\.helpers, which is to be described"):
        sources.names("kit_nowhere.helpers")


def test_this_workspace_is_the_one_that_its_plugins_lie_in(repository):
    found = {package.name for package in workspace.packages(Path(__file__).parent)}
    assert {path.parent.name for path in repository.glob("plugins/*/pyproject.toml")} < found
