"""The conformance kit: sound plugins pass every check, and every check of a plugin can fail.

What breaks scores, encoder losses, backbones and datasets is in test_conformance_checks.py.
"""

import json
import re
import sys
from types import ModuleType
from unittest import SkipTest

import pytest
from pydantic import ConfigDict, Field

from anokit import Component, Options, hookimpl
from anokit.errors import PluginError, UsageError
from anokit.store.certificate import Certificate, Outcome
from anokit.testing import CheckFailed, collect_checks, parametrize_checks, random_trip
from anokit.testing.check import PROMISES
from anokit.testing.subject import plugin_of
from anokit.testing.table import Checked, as_json, check_plugin, print_results, run_checks

RECIPE = """
Use it so:
```toml
[dataset]
use = "blobs"
[backbone]
use = "linear"
[[scores]]
use = "{score}"
```
"""


class KOptions(Options):
    """Options of the score below."""

    k: int = Field(2, ge=1, description="neighbours, ≥ 1")


class Brightness:
    """A sound score: the mean of the image."""

    def __init__(self, options):
        pass

    def __call__(self, trip):
        return trip.image.mean(dim=(1, 2, 3))


def component(**changes):
    """Describe a sound score, changed."""
    described = {
        "name": "bright",
        "summary": "Mean of the image",
        "factory": Brightness,
        "options": KOptions,
        "example": {"k": 1},
        "needs": frozenset({"image"}),
    }
    return Component(**{**described, **changes})


@pytest.fixture
def plugin(monkeypatch):
    """Make a plugin's module of hooks, by name."""
    monkeypatch.setenv("ANOKIT_PLUGINS", "")

    def make(**hooks):
        module = ModuleType("kit_toy")
        for name, function in hooks.items():
            function.__name__ = name
            setattr(module, name, hookimpl(function))
        monkeypatch.setitem(sys.modules, "kit_toy", module)
        return module

    return make


def scores(*found):
    """Return a hook that offers scores."""
    return {"anokit_scores": lambda: list(found)}


def run(module, name, **options):
    """Run the checks of that name."""
    found = [check for check in collect_checks(module, **options) if check.name == name]
    assert found, name
    for check in found:
        check()


LOOSE = ConfigDict(extra="ignore", frozen=True)


class LooseOptions(Options):
    model_config = LOOSE


class ThawedOptions(Options):
    model_config = ConfigDict(frozen=False)


class BareOptions(Options):
    k: int = 2


class OddOptions(Options):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    thing: Brightness = Field(description="has no JSON schema")


BROKEN = {
    "check_plugin_hooks_known": [{"anokit_score": lambda: [component()]}],
    "check_plugin_hooks_answer": [
        {"anokit_scores": lambda: 1 / 0},
        {"anokit_scores": lambda: ["lr"]},
        {"anokit_scores": lambda: [component(name="Not A Name")]},
        scores(component(), component()),
        {},
    ],
    "check_plugin_hooks_take_nothing": [{"anokit_scores": lambda options=None: [component()]}],
    "check_component_name": [scores(component(name="score")), scores(component(name="x" * 31))],
    "check_component_summary": [
        scores(component(summary="The mean.")),
        scores(component(summary="x" * 101)),
        scores(component(summary=" The mean")),
    ],
    "check_component_options_strict": [
        scores(component(options=LooseOptions, example={})),
        scores(component(options=ThawedOptions, example={})),
    ],
    "check_component_options_described": [
        scores(component(options=BareOptions)),
        scores(component(options=OddOptions, example={})),
    ],
    "check_component_example": [
        scores(component(example={"k": 0})),
        scores(component(example={"q": 1})),
    ],
    "check_component_factory": [
        scores(component(factory="nowhere.at_all:Thing")),
        scores(component(factory="math:no_such_name")),
        scores(component(factory="math:pi")),
    ],
    "check_component_fits_kind": [
        scores(component(needs=frozenset())),
        scores(component(trip_from="image")),
        {"anokit_backbones": lambda: [component(needs=frozenset())]},
        {"anokit_datasets": lambda: [component()]},
    ],
}


@pytest.mark.parametrize(
    ("name", "hooks"), [(name, hooks) for name, cases in BROKEN.items() for hooks in cases]
)
def test_a_broken_plugin_is_caught(plugin, name, hooks):
    with pytest.raises(CheckFailed) as caught:
        run(plugin(**hooks), name)
    assert str(caught.value)


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_a_sound_plugin_passes(plugin, name):
    run(plugin(**scores(component())), name)


def test_every_check_of_plugins_and_components_is_proved_here():
    about = {p.name for p in PROMISES if p.about in ("plugin", "component")}
    elsewhere = {
        "check_plugin_import_is_light",
        "check_plugin_readme_recipe",
        "check_plugin_recipes",
        "check_plugin_samples_used",
        # in test_metadata.py
        "check_plugin_import_is_quick",
        "check_plugin_metadata",
        "check_plugin_names_free",
        "check_plugin_prints_nothing",
        "check_plugin_version_range",
    }
    assert about == set(BROKEN) | elsewhere


def test_samples_for_nothing_are_caught(plugin):
    module = plugin(**scores(component()))
    run(module, "check_plugin_samples_used", samples={"bright": lambda: None})
    with pytest.raises(CheckFailed, match=r"samples for \['brihgt'\]"):
        run(module, "check_plugin_samples_used", samples={"brihgt": lambda: None})


def write(folder, name, code, readme=None):
    """Write a plugin's module, in a checkout of its own if it has a README."""
    (folder / f"{name}.py").write_text(code)
    if readme is not None:
        (folder / "pyproject.toml").write_text("")
        (folder / "README.md").write_text(readme)


CODE = """
from anokit import Component, hookimpl

@hookimpl
def anokit_scores():
    yield Component(name="bright", summary="s", factory="a:b", needs=frozenset({"image"}))
"""


@pytest.fixture
def on_path(tmp_path, monkeypatch):
    """A folder that modules are imported from."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("ANOKIT_PLUGINS", "")
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_heavy_import_is_caught(on_path):
    write(on_path, "kit_light", CODE)
    run("kit_light", "check_plugin_import_is_light")
    write(on_path, "kit_heavy", "import timm\n" + CODE)
    (on_path / "timm.py").write_text("")
    with pytest.raises(CheckFailed, match="importing kit_heavy imports timm"):
        run("kit_heavy", "check_plugin_import_is_light")


def test_the_readme_is_read(on_path, monkeypatch, registry):
    monkeypatch.setattr(
        "anokit.testing.readme_checks.discover",
        lambda: type("Found", (), {"entries": registry.entries, "plugins": []}),
    )
    name = "check_plugin_readme_recipe"
    write(on_path, "kit_readme", CODE)
    with pytest.raises(SkipTest, match="no README"):
        run("kit_readme", name)
    write(on_path, "kit_readme", CODE, "# Nothing to see")
    with pytest.raises(CheckFailed, match="found none"):
        run("kit_readme", name)
    write(on_path, "kit_readme", CODE, RECIPE.format(score="bright"))
    run("kit_readme", name)
    write(on_path, "kit_readme", CODE, RECIPE.format(score='bright"\nspeed = "high'))
    with pytest.raises(CheckFailed, match=r"scores.bright.speed +unknown option"):
        run("kit_readme", name)
    write(on_path, "kit_readme", CODE, RECIPE.format(score="brigth"))
    with pytest.raises(CheckFailed, match="did you mean 'bright'"):
        run("kit_readme", name)
    write(on_path, "kit_readme", CODE, RECIPE.format(score="from-elsewhere"))
    with pytest.raises(SkipTest, match="from-elsewhere"):
        run("kit_readme", name)


SHIPS = """
from pathlib import Path

@hookimpl
def anokit_recipes():
    return [Path(__file__).with_name("kit.toml"), *Path(__file__).with_name("more").glob("*.toml")]
"""
TITLED = 'title = "Kit"\n' + RECIPE.partition("```toml\n")[2].partition("```")[0]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (TITLED.format(score="bright"), None, ""),
        (TITLED.format(score="brigth"), CheckFailed, "did you mean 'bright'"),
        (TITLED.format(score="bright") + "[quick]\nsed = 3\n", CheckFailed, r"with --quick"),
        (TITLED.format(score="from-elsewhere"), SkipTest, "from-elsewhere"),
        (RECIPE, CheckFailed, "is not TOML"),
        (TITLED.format(score="bright").replace("Kit", " "), CheckFailed, "has no title"),
    ],
    ids=["right", "wrong", "wrong-quick", "absent", "no-toml", "no-title"],
)
def test_shipped_recipes_are_read(on_path, monkeypatch, registry, text, error, message):
    monkeypatch.setattr(
        "anokit.testing.readme_checks.discover",
        lambda: type("Found", (), {"entries": registry.entries, "plugins": []}),
    )
    write(on_path, "kit_ships", CODE + SHIPS)
    (on_path / "kit.toml").write_text(text)
    if error is None:
        run("kit_ships", "check_plugin_recipes")
        return
    with pytest.raises(error, match=message):
        run("kit_ships", "check_plugin_recipes")


def test_a_recipe_that_lies_outside_its_package_is_caught(on_path, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "kit.toml"
    elsewhere.write_text(TITLED.format(score="bright"))
    write(
        on_path,
        "kit_outside",
        CODE + SHIPS.replace('__file__).with_name("kit.toml")', f'"{elsewhere}")'),
    )
    with pytest.raises(CheckFailed, match="lies outside"):
        run("kit_outside", "check_plugin_recipes")


def test_checks_say_what_they_promise_and_since_when(plugin):
    checks = collect_checks(plugin(**scores(component())))
    assert {"check_score_shape[bright]", "check_component_summary[score bright]"} <= {
        check.id for check in checks
    }
    assert all(check.promise.endswith(".") and check.since for check in checks)
    assert collect_checks("kit_toy", as_of="0.0.1") == []
    assert len(collect_checks("kit_toy", as_of="0.1")) == len(checks)


def test_expected_failures_are_strict_marks(plugin):
    module = plugin(**scores(component(), component(name="other", summary="Ends so.")))
    excused = {"check_component_summary[score other]": "we like full stops"}
    mark = parametrize_checks(module, expected_failures=excused)
    marked = {item.id: item.marks for item in mark.args[1] if item.marks}
    ((name, (xfail,)),) = marked.items()
    assert name == "check_component_summary[score other]"
    assert xfail.kwargs == {"reason": "we like full stops", "strict": True}
    both = parametrize_checks(module, expected_failures={"check_component_summary": "all of them"})
    assert sum(bool(item.marks) for item in both.args[1]) == 2


def test_an_expected_failure_of_no_check_is_a_mistake(plugin):
    module = plugin(**scores(component()))
    with pytest.raises(UsageError, match="did you mean 'check_score_shape'"):
        parametrize_checks(module, expected_failures={"check_score_shap": "typo"})


def test_the_table_counts_and_explains(plugin, capsys):
    module = plugin(**scores(component(), component(name="other", summary="Ends so.")))
    own = [c for c in collect_checks(module) if c.name != "check_plugin_import_is_light"]
    results = run_checks(own)
    failed = [r for r in results if r.outcome == "failed"]
    assert [(r.check, r.subject) for r in failed] == [("check_component_summary", "score other")]
    print_results(Checked(plugin_of("kit_toy"), tuple(results)))
    out, err = capsys.readouterr()
    assert "check_component_summary" in out
    assert "ok: score bright; FAILED: score other" in out
    assert ", 1 failed, " in out
    assert "ends with a full stop" in err
    found = json.loads(as_json(Checked(plugin_of("kit_toy"), tuple(failed))))
    assert found["counts"] == {"passed": 0, "failed": 1, "skipped": 0, "warnings": 0}
    assert found["checks"][0]["outcome"] == "failed"


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (OSError("no weights here"), "OSError: no weights here"),
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt: "),
        (BaseException("the end"), "BaseException: the end"),
    ],
)
def test_what_a_plugin_raises_is_its_failure(plugin, raised, said):
    def broken(options):
        raise raised

    results = run_checks(collect_checks(plugin(**scores(component(factory=broken)))))
    (shape,) = [r for r in results if r.check == "check_score_shape"]
    assert (shape.outcome, shape.message) == ("failed", said)


def test_the_command_exits_1_where_a_check_fails(anokit, on_path, monkeypatch):
    write(on_path, "kit_command", CODE)
    monkeypatch.setenv("ANOKIT_PLUGINS", "")
    done = anokit("check-plugin", "kit_command")
    assert done.code == 1
    assert re.search(r"^check_component_factory +FAILED: score bright$", done.out, re.MULTILINE)
    assert "No module named 'a'" in done.err
    found = json.loads(anokit("check-plugin", "kit_command", "--json").out)
    assert set(found) == set(Certificate.model_fields)
    assert set(found["checks"][0]) == set(Outcome.model_fields)
    assert anokit("check-plugin", "no-such-plugin").code == 2


def test_an_unknown_module_is_said_to_be_one():
    with pytest.raises(UsageError, match="neither an installed plugin nor a module"):
        check_plugin("no-such-plugin")
    with pytest.raises(UsageError, match=r"anokit try mine\.py RUN runs its scores"):
        check_plugin("mine.py")


def test_random_trips_repeat_and_are_full():
    first, second = random_trip(3, seed=1), random_trip(3, seed=1)
    assert first.filled() == second.filled()
    assert all(bool((first.get(n) == second.get(n)).all()) for n in first.filled())
    assert bool((first.image != random_trip(3, seed=2).image).any())
    assert float(first.image_hat.abs().max()) <= 1


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import nothing_of_that_name", "cannot be imported: ModuleNotFoundError"),
        ("SAMPLES = 3", "expected a dictionary, got int"),
    ],
)
def test_samples_that_cannot_be_had_are_told_in_one_sentence(tmp_path, monkeypatch, code, reason):
    package = tmp_path / "kit_samples"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "plugin.py").write_text("")
    (package / "samples.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("kit_samples", "kit_samples.plugin", "kit_samples.samples"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(PluginError, match=reason):
        collect_checks("kit_samples.plugin")
