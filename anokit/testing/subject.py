"""What checks are about: a plugin's module and the components that its hooks offer."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import ModuleType
from typing import Any

import torch

from anokit.errors import PluginError
from anokit.plugin import Options, resolve_fields
from anokit.registry import discovery
from anokit.registry.entries import Entry, FoundPlugin, Loaded

Sample = Callable[..., Any]


@dataclass(frozen=True)
class Plugin:
    """A plugin's module, as anokit itself would load it."""

    module: ModuleType
    name: str
    loaded: Loaded
    samples: Mapping[str, Sample] = field(default_factory=dict)
    """by component name: what the plugin supplies to test with"""

    @property
    def entries(self) -> list[Entry]:
        """Return the components that anokit accepts."""
        return self.loaded.entries


@dataclass(frozen=True)
class Subject:
    """One component with its example options."""

    plugin: Plugin
    entry: Entry

    @cached_property
    def options(self) -> Options:
        """Return the example options; a pydantic error where they do not validate."""
        component = self.entry.component
        return component.options.model_validate(dict(component.example))

    @property
    def sample(self) -> Sample | None:
        """Return what the plugin supplies to test this component with."""
        return self.plugin.samples.get(self.entry.component.name)

    @cached_property
    def needs(self) -> frozenset[str]:
        """Return the fields of a round trip that the component says it reads."""
        return resolve_fields(self.entry.component.needs, self.options)

    @cached_property
    def map_needs(self) -> frozenset[str]:
        """Return the fields that the component's map says it reads."""
        return resolve_fields(self.entry.component.map_needs, self.options)

    @cached_property
    def provides(self) -> frozenset[str]:
        """Return the fields that the component says it can fill."""
        return resolve_fields(self.entry.component.provides, self.options)

    def make(self, *arguments: Any, seed: int = 0) -> Any:
        """Call the factory with the example options and ``arguments``, from seeded randomness."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.entry.component.load()(self.options, *arguments)


def open_plugin(module: ModuleType, samples: Mapping[str, Sample] | None = None) -> Plugin:
    """Ask a plugin's module for its components, one by one and in isolation, as anokit does."""
    found = plugin_of(module.__name__)
    loaded = discovery.load(replace(found, modules=(module.__name__,), requires=()))
    return Plugin(module, found.name, loaded, {**shipped_samples(module), **(samples or {})})


def plugin_of(module: str) -> FoundPlugin:
    """Return the installed plugin that a module belongs to, or one that is named for the module."""
    installed, _ = discovery.find()
    known = next((plugin for plugin in installed if module in plugin.modules), None)
    name = re.sub(r"[._]+", "-", module.partition(".")[0])
    return known or FoundPlugin(name, "not installed", (module,))


def shipped_samples(module: ModuleType) -> Mapping[str, Sample]:
    """Return ``SAMPLES`` of the module ``samples`` beside a plugin's module; nothing without it."""
    name = f"{module.__package__}.samples"
    if not module.__package__ or importlib.util.find_spec(name) is None:
        return {}
    try:
        found = getattr(importlib.import_module(name), "SAMPLES", {})
    except Exception as error:
        raise PluginError(
            f"{name}: what the plugin is tested with cannot be imported: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not isinstance(found, Mapping):
        raise PluginError(f"{name}.SAMPLES: expected a dictionary, got {type(found).__name__}")
    return found
