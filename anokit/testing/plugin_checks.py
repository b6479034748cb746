"""Checks of a plugin's module and of what it says about its components. None imports torch."""

from __future__ import annotations

import inspect
import json
from collections import Counter
from types import FunctionType

from anokit.plugin import KINDS
from anokit.registry.hookspecs import HOOKS
from anokit.testing.check import expect, fail, promise
from anokit.testing.subject import Plugin, Subject


@promise("plugin", since="0.1")
def check_plugin_hooks_known(plugin: Plugin) -> None:
    """Check that every hook that the plugin implements is one that anokit calls."""
    unknown = [p for p in plugin.loaded.problems if p.message.startswith("unknown hook")]
    expect(not unknown, "; ".join(f"{p.message}: {p.hint}" for p in unknown))


@promise("plugin", since="0.1")
def check_plugin_hooks_answer(plugin: Plugin) -> None:
    """Check that every hook returns an iterable of sound `Component`s, each kind and name once."""
    problems = [p for p in plugin.loaded.problems if not p.message.startswith("unknown hook")]
    ours = [p for p in problems if "imports torch" not in p.message]
    expect(not ours, "\n".join(problem.message for problem in ours))
    offered = plugin.entries or plugin.loaded.recipes
    expect(offered, "no hook offers a component; mark your function with @hookimpl")


@promise("plugin", since="0.1")
def check_plugin_hooks_take_nothing(plugin: Plugin) -> None:
    """Check that hooks have no parameters, not even with defaults, which would never be passed."""
    for name in HOOKS:
        hook = getattr(plugin.module, name, None)
        if isinstance(hook, FunctionType):
            given = list(inspect.signature(hook).parameters)
            expect(not given, f"{name}({', '.join(given)}): expected no parameters")


@promise("plugin", since="0.1")
def check_plugin_samples_used(plugin: Plugin) -> None:
    """Check that what the plugin supplies to test with belongs to components that it offers."""
    names = {entry.component.name for entry in plugin.entries}
    unknown = sorted(set(plugin.samples) - names)
    expect(not unknown, f"samples for {unknown}; the components are {sorted(names)}")


@promise("component", since="0.1")
def check_component_name(subject: Subject) -> None:
    """Check that the name is at most 30 characters and not that of its plugin or of a kind."""
    name = subject.entry.component.name
    expect(len(name) <= 30, f"{name!r} has {len(name)} characters; expected at most 30")
    taken = [*KINDS, subject.plugin.name]
    expect(name not in taken, f"{name!r} says nothing: it is the name of the plugin or of a kind")


@promise("component", since="0.1")
def check_component_summary(subject: Subject) -> None:
    """Check that the summary is one line of at most 100 characters without a full stop."""
    summary = subject.entry.component.summary
    expect(summary == summary.strip(), f"{summary!r}: space at an end")
    expect(len(summary) <= 100, f"{summary!r}: {len(summary)} characters, expected at most 100")
    expect(not summary.endswith("."), f"{summary!r}: ends with a full stop")


@promise("component", since="0.1")
def check_component_options_strict(subject: Subject) -> None:
    """Check that options are frozen and refuse keys that they do not know."""
    options = subject.entry.component.options
    expect(options.model_config.get("frozen"), f"{options.__name__}: expected frozen = True")
    extra = options.model_config.get("extra")
    expect(extra == "forbid", f"{options.__name__}: expected extra = 'forbid', got {extra!r}")


@promise("component", since="0.1")
def check_component_options_described(subject: Subject) -> None:
    """Check that every option has a description, and the options have a JSON schema."""
    options = subject.entry.component.options
    bare = [k for k, f in options.model_fields.items() if not (f.description or "").strip()]
    expect(not bare, f"options without description: {', '.join(bare)}; write Field(description=…)")
    try:
        json.dumps(options.model_json_schema())
    except Exception as error:
        fail(f"{options.__name__}: its JSON schema cannot be made: {error}")


@promise("component", since="0.1")
def check_component_example(subject: Subject) -> None:
    """Check that the example validates, so that documentation and these checks can use it."""
    options = subject.entry.component.options
    try:
        found = subject.options
    except Exception as error:
        fail(f"example {dict(subject.entry.component.example)} of {options.__name__}: {error}")
    again = options.model_validate(json.loads(found.model_dump_json()))
    expect(again == found, f"options change when written as JSON and read back: {found} {again}")


@promise("component", since="0.1")
def check_component_factory(subject: Subject) -> None:
    """Check that the factory, and what else is named by a string, can be imported and called."""
    component = subject.entry.component
    for load in (component.load, component.load_simulation, component.load_reader):
        try:
            target = load()
        except Exception as error:
            fail(f"{component.factory!r}: {type(error).__name__}: {error}")
        expect(target is None or callable(target), f"{target!r} cannot be called")


@promise("component", since="0.1")
def check_component_fits_kind(subject: Subject) -> None:
    """Check that the component states what its kind must state, and nothing else."""
    kind, component = subject.entry.kind, subject.entry.component
    must = {"score": ["needs"], "encoder-loss": ["needs", "trip_from"], "backbone": ["provides"]}
    may = {"score": ["map_needs"], "backbone": ["trips"], "dataset": ["image_spec", "simulate"]}
    may["dataset"].append("reader")
    own = Counter([*must.get(kind, []), *may.get(kind, [])])
    every = {name for names in [*must.values(), *may.values()] for name in names}
    lacking = [name for name in must.get(kind, []) if not getattr(component, name)]
    expect(not lacking, f"a {kind} must state {', '.join(lacking)}")
    foreign = [name for name in sorted(every) if name not in own and getattr(component, name)]
    expect(not foreign, f"a {kind} has no {', '.join(foreign)}; remove it")
