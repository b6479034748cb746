"""`anokit recipes` and running a recipe by its name."""

import json

import pytest

SHIPS = """
from pathlib import Path
from anokit import hookimpl

@hookimpl
def anokit_recipes():
    return Path(__file__).parent.glob("*.toml")
"""


@pytest.fixture
def ships(toykit, recipe_file, tmp_path, monkeypatch):
    """Run the command line in an empty folder with the toys and a plugin that ships recipes."""
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "acme.py").write_text(SHIPS)
    recipe_file("title='Shipped'", name="acme/first.toml", extra="\n[quick]\nseed = 4\n")
    recipe_file("backbone.use='elsewhere'", name="acme/lacking.toml")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return lambda *arguments: toykit(*arguments, "--plugin", tmp_path / "acme" / "acme.py")


def test_recipes_are_listed_as_table_and_as_json(ships, tmp_path):
    table = ships("recipes")
    assert table.code == 0
    first, second = (line.split("  ") for line in table.out.splitlines()[1:3])
    assert [cell for cell in first if cell][:2] == ["first", "Shipped"]
    assert "comes along" in table.out
    assert "does not run here" in "  ".join(second)
    assert "anokit check NAME says which" in table.out
    found = json.loads(ships("recipes", "--json").out)
    assert found["problems"] == []
    first, second = found["recipes"]
    assert first["version"].startswith("sha256:")
    assert {k: v for k, v in first.items() if k != "version"} == {
        "name": "first",
        "qualified": "acme/first",
        "title": "Shipped",
        "plugin": "acme",
        "path": str(tmp_path / "acme" / "first.toml"),
        "data": None,
        "simulated": False,
        "problem": "",
    }
    assert "unknown backbone 'elsewhere'" in second["problem"]


def test_without_plugins_or_with_a_broken_one_there_is_still_a_list(anokit, ships, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("1 / 0")
    found = ships("recipes", "--plugin", broken)
    assert (found.code, "Shipped" in found.out) == (0, True)
    assert "broken sha256:" in found.err
    assert "ZeroDivisionError" in found.err
    none = anokit("recipes")
    assert (none.code, "no recipes; install plugins" in none.out) == (0, True)


def test_a_name_that_two_plugins_ship_is_listed_qualified(ships, tmp_path):
    other = tmp_path / "acme" / "other.py"
    other.write_text(SHIPS)
    found = ships("recipes", "--plugin", other)
    assert "acme/first" in found.out
    assert "other/first" in found.out
    assert "recipe 'first' is shipped by another plugin too" in found.err
    wrong = ships("check", "first", "--plugin", other)
    assert (wrong.code, "write acme/first or other/first" in wrong.err) == (2, True)
    assert ships("check", "other/first", "--plugin", other).code == 0


def test_a_recipe_is_shown_and_copied(ships, tmp_path):
    text = (tmp_path / "acme" / "first.toml").read_text()
    assert ships("recipes", "show", "first").out == text
    copied = ships("recipes", "copy", "first")
    assert (copied.code, copied.out.strip()) == (0, "first.toml")
    assert (tmp_path / "work" / "first.toml").read_text() == text
    again = ships("recipes", "copy", "acme/first", "first.toml")
    assert (again.code, "first.toml: is there already" in again.err) == (2, True)
    assert ships("recipes", "copy", "first", "first.toml", "--force").code == 0
    wrong = ships("recipes", "show", "frist")
    assert (wrong.code, "did you mean first?" in wrong.err) == (2, True)


def test_options_before_the_word_are_not_passed_over(anokit):
    found = anokit("recipes", "--json", "show", "first")
    assert (found.code, "write options behind show" in found.err) == (2, True)


def test_a_shipped_recipe_runs_by_its_name_and_is_recorded(ships, tmp_path):
    dry = ships("run", "first", "--dry-run", "--device", "cpu")
    assert "A small version: anokit run first --quick" in dry.out
    found = ships("run", "first", "--quick", "--device", "cpu")
    assert found.code == 0, found.err
    (run,) = (tmp_path / "work" / "runs" / "first").iterdir()
    assert (run / "recipe.toml").read_text() == (tmp_path / "acme" / "first.toml").read_text()
    wrong = ships("run", "frist")
    assert (wrong.code, "frist: no such recipe, did you mean first?" in wrong.err) == (2, True)
