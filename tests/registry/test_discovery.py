"""Plugins are found from metadata and loaded one by one; none of them can hurt another."""

import sys

import pytest

from anokit.cli.listing import print_problems
from anokit.errors import UsageError
from anokit.registry import discovery
from anokit.registry.discovery import discover, file_plugin, find, load, normalise
from anokit.registry.lookup import Registry, UnknownComponentError

GOOD = """
from anokit import Component, hookimpl

@hookimpl
def anokit_scores():
    return [Component(name="{name}", summary="A score", factory="nowhere:Thing")]
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty environment: a folder for distributions, on sys.path."""
    monkeypatch.delenv("ANOKIT_PLUGINS", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def install(place, name, code, *, module=None, version="1.0", requires=(), points=None):
    """Fabricate an installed distribution."""
    module = module or normalise(name).replace("-", "_") + "_plugin"
    if code is not None:
        (place / f"{module}.py").write_text(code)
    info = place / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {text}" for text in requires]
    (info / "METADATA").write_text("\n".join(lines) + "\n")
    (info / "entry_points.txt").write_text(points or f"[anokit]\nit = {module}\n")


def load_all(place):
    """Load what `place` holds, as `discover` does for what is installed."""
    found, problems = find([str(place)])
    loaded = [load(plugin) for plugin in found]
    return Registry(
        discovery.Loaded(
            [entry for one in loaded for entry in one.entries],
            problems + [problem for one in loaded for problem in one.problems],
            [plugin for one in loaded for plugin in one.plugins],
            [recipe for one in loaded for recipe in one.recipes],
        )
    )


def test_a_plugin_is_found_without_being_imported_and_then_loaded(place):
    install(place, "Some_Plugin", GOOD.format(name="x"))
    found, problems = find([str(place)])
    assert not problems
    assert [(p.name, p.version, p.modules) for p in found] == [
        ("some-plugin", "1.0", ("some_plugin_plugin",))
    ]
    assert "some_plugin_plugin" not in sys.modules
    (entry,) = load(found[0]).entries
    assert (entry.kind, entry.qualified) == ("score", "some-plugin/x")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import a_module_that_is_not_there", "ModuleNotFoundError: No module named 'a_module"),
        ("def broken(:\n", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit: 3; a plugin may not end the process"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt, and nobody pressed Ctrl-C"),
        ("class End(BaseException): ...\nraise End('now')", "broken_plugin.py:2 End: now"),
        ("x = 1\nraise OSError('no disk')", "broken_plugin.py:2 OSError: no disk"),
    ],
)
def test_a_broken_import_costs_nobody_else_anything(place, code, message):
    install(place, "broken", code)
    install(place, "fine", GOOD.format(name="x"))
    registry = load_all(place)
    assert registry.get("score", "x").plugin == "fine"
    (problem,) = registry.problems
    assert (problem.plugin, problem.version) == ("broken", "1.0")
    assert message in problem.message
    assert problem.hint == "reinstall or remove it: pip uninstall broken"
    assert "Traceback" in problem.details


@pytest.mark.parametrize("where", ["import", "hook"])
def test_ctrl_c_while_a_plugin_is_loaded_is_no_fault_of_the_plugin(place, where):
    press = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nfor _ in range(9): pass"
    hook = "import os, signal; os.kill(os.getpid(), signal.SIGINT); return []"
    code = press if where == "import" else HOOK.format(hook="anokit_scores()", body=hook)
    install(place, "slow", code)
    with pytest.raises(KeyboardInterrupt):
        load_all(place)


def test_a_module_that_is_not_there_is_a_problem(place):
    install(place, "hollow", None)
    (problem,) = load_all(place).problems
    assert "importing hollow_plugin failed" in problem.message


HOOK = "from anokit import Component, hookimpl\n\n@hookimpl\ndef {hook}:\n    {body}\n"


@pytest.mark.parametrize(
    ("hook", "body", "message"),
    [
        ("anokit_scores()", "raise KeyError('lost')", "anokit_scores() failed: "),
        ("anokit_scores()", "raise KeyboardInterrupt", "and nobody pressed Ctrl-C"),
        ("anokit_scores()", "raise BaseException('end')", "plugin.py:5 BaseException: end"),
        ("anokit_scores()", "yield 1 / 0", "plugin.py:5 ZeroDivisionError: division by zero"),
        ("anokit_scores()", "return 3", "'int' object is not iterable"),
        ("anokit_scores()", "return ['lr']", "returned a str, expected anokit.Component"),
        ("anokit_scores()", "return [Component]", "returned a type, expected anokit.Component"),
        ("anokit_scores(options)", "return []", "not loaded: "),
        (
            "anokit_scores()",
            "return [Component(name='Bad Name', summary='s', factory='a:b')]",
            "component name 'Bad Name' does not match",
        ),
        (
            "anokit_scores()",
            "return [Component(name='x', summary='s', factory='no colon')]",
            "factory 'no colon' is not 'package.module:Name'",
        ),
        (
            "anokit_backbones()",
            "return [Component(name='x', summary='s', factory='a:b', restored={'w': 1})]",
            "restored names 'w', which is no option",
        ),
        ("anokit_score()", "return []", "unknown hook anokit_score"),
    ],
)
def test_a_hook_that_goes_wrong_is_a_problem(place, hook, body, message):
    install(place, "odd", HOOK.format(hook=hook, body=body))
    install(place, "fine", GOOD.format(name="x"))
    registry = load_all(place)
    assert [entry.plugin for entry in registry.entries] == ["fine"]
    (problem,) = registry.problems
    assert message in problem.message


SHIPS = """
from pathlib import Path
from anokit import hookimpl

HERE = Path(__file__).parent

@hookimpl
def anokit_recipes():
    {body}
"""


def test_recipes_are_collected_unread_also_of_a_plugin_without_components(place):
    (place / "b_2.toml").write_text("not = = toml")
    (place / "a.toml").touch()
    install(place, "ships", SHIPS.format(body="return HERE.glob('*.toml')"))
    registry = load_all(place)
    assert not registry.problems
    assert [(r.name, r.qualified, r.path) for r in registry.recipes] == [
        ("a", "ships/a", place / "a.toml"),
        ("b_2", "ships/b_2", place / "b_2.toml"),
    ]
    assert [plugin.name for plugin in registry.plugins] == ["ships"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise OSError('no disk')", "anokit_recipes() failed: "),
        ("return HERE", "object is not iterable"),
        ("return ['a.toml']", "returned a str, expected pathlib.Path"),
        ("return [HERE / 'none.toml']", "none.toml, which is not there"),
        ("return [HERE]", "expected a file NAME.toml"),
        ("return [HERE / 'A b.toml']", "expected a file NAME.toml"),
        ("return [HERE / 'a.toml', HERE / 'a.toml']", "ships two recipes called 'a'"),
    ],
)
def test_recipes_that_go_wrong_are_a_problem_and_cost_nothing_else(place, body, message):
    (place / "a.toml").touch()
    (place / "A b.toml").touch()
    install(place, "odd", SHIPS.format(body=body) + GOOD.format(name="x"))
    install(place, "fine", SHIPS.format(body="return [HERE / 'a.toml']"))
    registry = load_all(place)
    assert registry.get("score", "x").plugin == "odd"
    assert "fine/a" in {recipe.qualified for recipe in registry.recipes}
    (problem,) = [p for p in registry.problems if "another plugin too" not in p.message]
    assert problem.plugin == "odd"
    assert message in problem.message


def test_an_unknown_hook_says_which_was_meant_and_leaves_the_others(place):
    code = GOOD.format(name="x") + "\n@hookimpl\ndef anokit_backbone():\n    return []\n"
    install(place, "newer", code)
    registry = load_all(place)
    (problem,) = registry.problems
    assert "did you mean anokit_backbones?" in problem.hint
    assert "needs a newer anokit" in problem.hint
    assert registry.get("score", "x").plugin == "newer"


def test_one_hook_that_raises_leaves_the_other_hooks_of_its_plugin(place):
    code = GOOD.format(name="x") + "\n@hookimpl\ndef anokit_datasets():\n    raise OSError\n"
    install(place, "half", code)
    registry = load_all(place)
    assert registry.get("score", "x").plugin == "half"
    assert "anokit_datasets() failed" in registry.problems[0].message


@pytest.mark.parametrize("requires", ["anokit>=99", "anokit<0.0.1", "Anokit (==99.1)"])
def test_a_plugin_for_another_anokit_is_refused_before_its_import(place, requires):
    install(place, "later", "raise AssertionError('was imported')", requires=[requires])
    registry = load_all(place)
    assert "later_plugin" not in sys.modules
    (problem,) = registry.problems
    assert problem.message.startswith("not loaded: needs anokit")
    assert "for anokit 0." in problem.hint


@pytest.mark.parametrize(
    "requires",
    ["anokit>=0.0.1", "anokit", "numpy>=999", "anokit>=99; extra == 'new'", "*** rubbish ***"],
)
def test_requirements_that_are_met_or_none_of_our_business_do_not_stop_a_plugin(place, requires):
    install(place, "fine", GOOD.format(name="x"), requires=[requires])
    registry = load_all(place)
    assert not registry.problems
    assert registry.get("score", "x")


def test_installed_twice_counts_once_and_says_where_the_other_lies(place, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    install(place, "twin", GOOD.format(name="x"))
    install(other, "twin", GOOD.format(name="y"), version="2.0")
    found, (problem,) = find([str(place), str(other)])
    assert [plugin.version for plugin in found] == ["1.0"]
    assert f"2.0 in {other} is not" in problem.message
    assert "pip uninstall twin" in problem.hint


def test_one_place_listed_twice_is_no_problem(place):
    install(place, "fine", GOOD.format(name="x"))
    found, problems = find([str(place), str(place)])
    assert len(found) == 1
    assert not problems


@pytest.mark.parametrize("points", ["[anokit]\n", "[other]\nx = y\n", "[anokit\n", "rubbish"])
def test_entry_points_that_are_not_ours_are_passed_over(place, points):
    install(place, "odd", GOOD.format(name="x"), points=points)
    install(place, "fine", GOOD.format(name="y"))
    registry = load_all(place)
    assert [entry.plugin for entry in registry.entries] == ["fine"]
    assert not registry.problems


@pytest.mark.parametrize("points", [b"[anokit]\nno equals sign\n", b"[anokit]\nit = \xff\xfe\n"])
def test_damaged_entry_points_are_a_problem(place, points):
    install(place, "odd", GOOD.format(name="x"))
    (place / "odd-1.0.dist-info" / "entry_points.txt").write_bytes(points)
    install(place, "fine", GOOD.format(name="y"))
    registry = load_all(place)
    assert registry.get("score", "y").plugin == "fine"
    (problem,) = registry.problems
    assert problem.plugin == "odd"
    assert "its entry_points.txt is damaged" in problem.message


def test_a_distribution_without_metadata_never_raises(place):
    install(place, "odd", GOOD.format(name="x"))
    (place / "odd-1.0.dist-info" / "METADATA").unlink()
    install(place, "fine", GOOD.format(name="y"))
    assert load_all(place).get("score", "y").plugin == "fine"


def test_equal_names_are_usable_qualified_and_an_error_bare(place):
    install(place, "one", GOOD.format(name="lr"))
    install(place, "two", GOOD.format(name="lr"))
    registry = load_all(place)
    assert registry.get("score", "two/lr").plugin == "two"
    with pytest.raises(UnknownComponentError, match='"one/lr" or "two/lr"') as caught:
        registry.get("score", "lr")
    assert caught.value.exit_code == 2
    assert [p.hint for p in registry.problems] == [
        'write use = "one/lr" in recipes',
        'write use = "two/lr" in recipes',
    ]


def test_equal_names_of_different_kinds_do_not_clash(place):
    install(place, "one", GOOD.format(name="lr"))
    install(place, "two", GOOD.format(name="lr").replace("anokit_scores", "anokit_datasets"))
    registry = load_all(place)
    assert not registry.problems
    assert registry.get("score", "lr").plugin == "one"


def test_one_plugin_offering_a_name_twice_keeps_the_first(place):
    component = "Component(name='x', summary='{}', factory='a:b')"
    body = f"return [{component.format('first')}, {component.format('second')}]"
    install(place, "double", HOOK.format(hook="anokit_scores()", body=body))
    registry = load_all(place)
    assert registry.get("score", "x").component.summary == "first"
    assert "offers two components called score 'x'" in registry.problems[0].message


@pytest.mark.parametrize(
    ("value", "names"),
    [(None, ["one", "two"]), ("", []), (" ", []), ("two", ["two"]), ("Two, one", ["one", "two"])],
)
def test_anokit_plugins_admits_all_none_or_some(place, monkeypatch, value, names):
    install(place, "one", GOOD.format(name="x"))
    install(place, "two", GOOD.format(name="y"))
    if value is not None:
        monkeypatch.setenv("ANOKIT_PLUGINS", value)
    found, problems = find([str(place)])
    assert [plugin.name for plugin in found] == names
    assert not problems


def test_anokit_plugins_that_names_an_absent_plugin_is_a_problem(place, monkeypatch):
    monkeypatch.setenv("ANOKIT_PLUGINS", "anokit-nowhere")
    found, (problem,) = find([str(place)])
    assert not found
    assert "named in ANOKIT_PLUGINS but not installed" in problem.message
    assert problem.hint == "pip install anokit-nowhere"


def test_an_eager_import_of_torch_is_named(place, monkeypatch):
    install(place, "eager", "import torch\n" + GOOD.format(name="x"))
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    (place / "torch.py").write_text("")
    registry = load_all(place)
    assert registry.get("score", "x")
    assert "imports torch" in registry.problems[0].message


def test_a_file_is_a_plugin_named_for_its_stem(tmp_path, monkeypatch):
    monkeypatch.setenv("ANOKIT_PLUGINS", "")
    path = tmp_path / "mine.py"
    path.write_text(GOOD.format(name="x"))
    loaded = discover([path])
    assert [entry.qualified for entry in loaded.entries] == ["mine/x"]
    assert not loaded.problems
    first = file_plugin(path).version
    path.write_text(GOOD.format(name="y"))
    assert first.startswith("sha256:")
    assert file_plugin(path).version != first


def test_a_broken_file_is_a_problem_with_its_line(tmp_path, monkeypatch):
    monkeypatch.setenv("ANOKIT_PLUGINS", "")
    path = tmp_path / "mine.py"
    path.write_text("x = 1\ny = x.z\n")
    (problem,) = discover([path]).problems
    assert f"{path}:2 AttributeError" in problem.message
    assert problem.hint == ""
    assert "anokit_file_plugin_mine" not in sys.modules


def test_a_file_that_is_not_there_or_not_python_is_said_to_be(tmp_path, monkeypatch):
    monkeypatch.setenv("ANOKIT_PLUGINS", "")
    with pytest.raises(UsageError, match="no such file"):
        discover([tmp_path / "none.py"])
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    (problem,) = discover([text]).problems
    assert "is not a Python file" in problem.message


def test_two_files_of_one_name_are_refused_but_not_one_given_twice(tmp_path, monkeypatch):
    monkeypatch.setenv("ANOKIT_PLUGINS", "")
    files = [tmp_path / folder / "mine.py" for folder in ("a", "b")]
    for file in files:
        file.parent.mkdir()
        file.write_text("")
    discover(files)
    files[1].write_text("# another one")
    with pytest.raises(UsageError, match=r"b/mine\.py: has the name of --plugin .*a/mine\.py"):
        discover(files)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import no_such_thing", r"--plugin mine: importing .*mine\.py:1 ModuleNotFoundError"),
        ("def anokit_scores():\n    return []", r"--plugin mine: offers nothing .*@hookimpl"),
    ],
)
def test_an_unknown_name_says_what_is_wrong_with_a_file(tmp_path, monkeypatch, source, said):
    """`anokit list-plugins` knows nothing of a file, so it can be no answer."""
    monkeypatch.setenv("ANOKIT_PLUGINS", "")
    file = tmp_path / "mine.py"
    file.write_text(source)
    with pytest.raises(UnknownComponentError, match=said) as caught:
        Registry.load([file]).get("score", "mine")
    assert "list-plugins" not in str(caught.value)


@pytest.mark.parametrize("given", ['"latent"', "3", "[1]"])
def test_fields_that_are_no_names_are_a_problem_of_their_component(tmp_path, monkeypatch, given):
    """A lone string would be its letters: needs a, e, l, n, t."""
    monkeypatch.setenv("ANOKIT_PLUGINS", "")
    file = tmp_path / "mine.py"
    component = f'Component(name="mine", summary="Mine", factory="a:B", needs={given})'
    file.write_text(
        "from anokit import Component, hookimpl\n\n"
        f"@hookimpl\ndef anokit_scores():\n    yield {component}\n"
    )
    (problem,) = discover([file]).problems
    assert f"score 'mine': needs is {given}".replace('"', "'") in problem.message
    assert 'frozenset({"latent"})' in problem.hint


def test_a_factory_that_names_its_own_file_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("ANOKIT_PLUGINS", "")
    file = tmp_path / "mine.py"
    file.write_text(
        "from anokit import Component, hookimpl\n\n"
        "@hookimpl\ndef anokit_scores():\n"
        '    yield Component(name="it", summary="Mine", factory="mine:It", needs={"image"})\n'
    )
    (problem,) = discover([file]).problems
    assert f"score 'it': factory is 'mine:It', and {file} is no module" in problem.message
    assert "factory=It, without quotes" in problem.hint


def test_an_unknown_name_says_what_was_meant_and_what_there_is(registry):
    def message(kind, name):
        with pytest.raises(UnknownComponentError) as caught:
            registry.get(kind, name)
        return str(caught.value)

    assert "did you mean 'error'?" in message("score", "eror")
    assert "installed: bad, error, far, seen" in message("score", "zzz")
    assert "there is a backbone of that name" in message("score", "linear")
    assert "did you mean 'toys/far'?" in message("score", "toy/far")
    assert "no plugin 'acme' is loaded, so install it" in message("score", "acme/angle")
    assert "installed:" not in message("score", "acme/angle")
    assert "installed: bad, error" in message("score", "toys/zzzzzzzz")


def test_problems_print_with_hint_and_on_demand_with_traceback(place, capsys):
    install(place, "broken", "raise OSError('no disk')")
    registry = load_all(place)
    print_problems(registry)
    plain = capsys.readouterr().err
    assert "broken 1.0: importing broken_plugin failed" in plain
    assert "pip uninstall broken" in plain
    assert "Traceback" not in plain
    print_problems(registry, debug=True)
    assert "Traceback" in capsys.readouterr().err


def test_what_a_plugin_prints_never_reaches_standard_output(place, capsys):
    code = "print('hello from the import')\n" + HOOK.format(
        hook="anokit_scores()",
        body="print('hello from the hook'); "
        "return [Component(name='x', summary='s', factory='a:b')]",
    )
    install(place, "talker", code)
    assert [entry.qualified for entry in load_all(place).entries] == ["talker/x"]
    out, err = capsys.readouterr()
    assert out == ""
    assert "hello from the import" in err
    assert "hello from the hook" in err


def test_a_slow_import_is_mentioned_with_its_time(place, capsys, monkeypatch):
    monkeypatch.setattr(discovery, "SLOW_IMPORT", 0.05)
    install(place, "sleeper", "import time\ntime.sleep(0.1)\n" + GOOD.format(name="x"))
    install(place, "waker", GOOD.format(name="y"))
    found, _ = find([str(place)])
    slow = [one for plugin in found for one in load(plugin).slow]
    assert [one.plugin for one in slow] == ["sleeper"]
    assert slow[0].seconds >= 0.1
    print_problems(Registry(discovery.Loaded(slow=slow)))
    assert "slow: importing sleeper_plugin of sleeper 1.0 took 0.1 s" in capsys.readouterr().err


def test_bare_names_mean_what_is_preferred_where_several_offer_them(place):
    for name in ("first", "second", "third"):
        install(place, name, GOOD.format(name="lr"))
    registry = load_all(place)
    with pytest.raises(
        UnknownComponentError, match=r'or name the plugin .* requires = \["first"\]'
    ):
        registry.get("score", "lr")
    groups = [frozenset({"nobody"}), frozenset({"first", "second"}), frozenset({"third"})]
    assert registry.get("score", "lr", groups).plugin == "third"
    assert registry.get("score", "lr", [*groups[1:2], frozenset({"second"})]).plugin == "second"
