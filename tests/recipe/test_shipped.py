"""Recipes that plugins bring along: found by name, listed, copied; a file of the name wins."""

import dataclasses
from pathlib import Path

import pytest

from anokit.errors import UsageError
from anokit.recipe.finding import find_recipe, find_shipped
from anokit.recipe.reading import check_recipe, load_recipe
from anokit.recipe.shipped import copy_recipe, describe
from anokit.registry.entries import Loaded, ShippedRecipe
from anokit.registry.lookup import Registry


@pytest.fixture
def shipping(registry, recipe_file, tmp_path, monkeypatch):
    """Make the registry of the toys with recipes of some plugins; work in an empty folder."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def make(**recipes):
        """Ship by plugin the names of recipes."""
        shipped = []
        for plugin, names in recipes.items():
            (tmp_path / plugin).mkdir(exist_ok=True)
            for name in names:
                path = recipe_file(f"title='{plugin} {name}'", name=f"{plugin}/{name}.toml")
                shipped.append(ShippedRecipe(name, path, plugin, "1.0"))
        return Registry(Loaded(registry.entries, [], registry.plugins, shipped))

    return make


def test_a_name_finds_a_shipped_recipe_bare_or_qualified(shipping):
    registry = shipping(one=["first", "second"], two=["third"])
    for name in ("third", "two/third"):
        recipe = load_recipe(Path(name), registry)
        assert (recipe.title, recipe.name, recipe.given) == ("two third", "third", name)
        assert recipe.arguments.startswith(name)
        assert [r.title for r in check_recipe(Path(name), registry)] == ["two third"]
        assert find_shipped(name, registry).version == "1.0"


def test_a_file_of_the_name_wins_and_a_folder_does_not(shipping, recipe_file):
    registry = shipping(one=["first"])
    Path("first").mkdir()
    assert load_recipe(Path("first"), registry).title == "one first"
    Path("first").rmdir()
    Path("first").write_text(recipe_file("title='Mine'").read_text())
    assert load_recipe(Path("first"), registry).title == "Mine"
    assert find_shipped("first", registry).plugin == "one"


def test_a_name_that_two_plugins_ship_is_an_error_that_names_both(shipping):
    registry = shipping(one=["same", "other"], two=["same"])
    for find in (
        lambda: find_recipe(Path("same"), registry),
        lambda: find_shipped("same", registry),
    ):
        with pytest.raises(UsageError, match="by one and two; write one/same or two/same"):
            find()
    assert find_recipe(Path("two/same"), registry).parent.name == "two"
    assert find_recipe(Path("other"), registry).parent.name == "one"
    assert [(p.plugin, p.hint) for p in registry.problems] == [
        ("one", "call it one/same"),
        ("two", "call it two/same"),
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("frist", r"^frist: no such recipe, did you mean first\?; `anokit recipes` lists"),
        ("recipes/first.toml", r"first\.toml: no such recipe, did you mean first\?"),
        ("oen/first", r"did you mean first\?"),
        ("mnie", r"did you mean mine\.toml\?"),
        ("zzz", r"^zzz: no such recipe; `anokit recipes` lists those that plugins bring$"),
        ("zzz.toml", r"^zzz.toml: no such recipe; in \. there are: mine\.toml; `anokit recipes`"),
    ],
)
def test_an_unknown_name_says_what_may_be_meant(shipping, given, message):
    registry = shipping(one=["first"])
    Path("mine.toml").touch()
    with pytest.raises(UsageError, match=message):
        find_recipe(Path(given), registry)


def test_what_no_plugin_ships_cannot_be_shown(shipping):
    Path("mine.toml").touch()
    with pytest.raises(UsageError, match=r"frist: no plugin brings .* did you mean first\?"):
        find_shipped("frist", shipping(one=["first"]))
    with pytest.raises(UsageError, match=r"mine\.toml: no plugin brings .*; install plugins"):
        find_shipped("mine.toml", shipping())


def test_a_list_says_where_data_come_from_and_what_does_not_run_here(shipping, tmp_path):
    registry = shipping(one=["first", "broken", "lacking"])
    (tmp_path / "one" / "broken.toml").write_text("title = = 3")
    lacking = tmp_path / "one" / "lacking.toml"
    lacking.write_text(lacking.read_text().replace('use = "far"', 'use = "elsewhere"'))
    found = {
        about.shipped.name: about for about in (describe(r, registry) for r in registry.recipes)
    }
    assert (found["first"].title, found["first"].data, found["first"].problem) == (
        "one first",
        None,
        "",
    )
    assert found["broken"].title == "broken"
    assert "not valid TOML" in found["broken"].problem
    assert found["lacking"].title == "one lacking"
    assert "unknown score 'elsewhere'" in found["lacking"].problem


def test_where_data_lie_and_whether_they_may_be_simulated(monkeypatch):
    monkeypatch.delenv("ANOKIT_PLUGINS", raising=False)
    registry = Registry.load()
    found = {
        about.shipped.name: about for about in (describe(r, registry) for r in registry.recipes)
    }
    assert (found["quickstart"].data, found["quickstart"].simulated) == (None, False)
    assert (found["ours_kth"].data, found["ours_kth"].simulated) == ("data/kth", True)
    assert (found["your_folder"].data, found["your_folder"].simulated) == ("images", False)
    assert not any(about.problem for about in found.values())


def test_a_plugin_whose_options_break_costs_no_other_recipe_its_line(shipping, monkeypatch):
    registry = shipping(one=["first"])

    def broken(*_, **__):
        raise KeyError("lost")

    monkeypatch.setattr("anokit.recipe.shipped.load_recipe", broken)
    about = describe(registry.recipes[0], registry)
    assert (about.title, about.problem) == ("one first", "KeyError: 'lost'")


def test_a_copy_goes_to_a_file_or_into_a_folder_and_replaces_nothing_unasked(shipping):
    registry = shipping(one=["first"])
    shipped = find_shipped("first", registry)
    assert copy_recipe(shipped, Path(), registry) == Path("first.toml")
    assert Path("first.toml").read_text() == shipped.path.read_text()
    assert copy_recipe(shipped, Path("mine.toml"), registry) == Path("mine.toml")
    Path("mine.toml").write_text("# changed")
    for place in ("mine.toml", "."):
        with pytest.raises(UsageError, match=r"is there already; .* --force"):
            copy_recipe(shipped, Path(place), registry)
    assert Path("mine.toml").read_text() == "# changed"
    copy_recipe(shipped, Path("mine.toml"), registry, force=True)
    assert Path("mine.toml").read_text() == shipped.path.read_text()
    with pytest.raises(UsageError, match=r"nowhere/x\.toml: the recipe cannot be copied"):
        copy_recipe(shipped, Path("nowhere/x.toml"), registry)
    lost = dataclasses.replace(shipped, path=Path("lost.toml"))
    with pytest.raises(UsageError, match="cannot be copied"):
        copy_recipe(lost, Path("new.toml"), registry)
    assert not Path("new.toml").exists()


def test_recipes_of_the_repository_are_links_to_what_its_packages_ship(repository, monkeypatch):
    monkeypatch.delenv("ANOKIT_PLUGINS", raising=False)
    links = {path.stem: path for path in (repository / "recipes").glob("*.toml")}
    shipped = {path.stem: path for path in repository.glob("plugins/*/src/*/recipes/*.toml")}
    assert links
    assert {name: path.resolve() for name, path in links.items()} == shipped
    assert all(not path.readlink().is_absolute() for path in links.values())
    assert {recipe.name: recipe.path for recipe in Registry.load().recipes} == shipped
