"""`anokit new-plugin --from`: every shipped component is a beginning that passes its checks."""

import ast
import subprocess
import sys
import tomllib
from unittest import SkipTest

import pytest

from anokit.authoring.scaffold.names import names_for
from anokit.authoring.scaffold.renaming import renamed
from anokit.authoring.scaffold.shaking import Source, shake, written
from anokit.authoring.scaffold.writer import component_called, write_plugin
from anokit.errors import UsageError
from anokit.registry import discovery
from anokit.registry.lookup import Registry
from anokit.testing import collect_checks

SHIPPED = [entry for entry in Registry.load().entries if entry.plugin.startswith("anokit-")]
WHOLE = ("score", "encoder-loss")
"""Kinds whose copies go through all checks; others learn or read, which takes longer."""


def copy(folder, entry, name):
    """Write a copy of a component as a plugin and return its package's folder."""
    made = write_plugin(name, entry.kind, folder / name, start=entry)[0]
    return made / "src" / name.replace("-", "_")


@pytest.fixture
def on_path(monkeypatch):
    """Put a package's folder on the path, and forget what was imported from it afterwards."""
    before = set(sys.modules)
    yield monkeypatch.syspath_prepend
    for name in set(sys.modules) - before:
        if name.startswith("acme_"):
            del sys.modules[name]


@pytest.mark.parametrize("entry", SHIPPED, ids=lambda entry: f"{entry.kind}-{entry.component.name}")
def test_every_shipped_component_is_copied_and_passes_its_checks(entry, tmp_path, on_path):
    package = copy(tmp_path, entry, "acme-copy")
    on_path(package.parent)
    (offered,) = discovery.load(
        discovery.FoundPlugin("acme-copy", "0.1.0", ("acme_copy.plugin",))
    ).entries
    assert (offered.kind, offered.component.name) == (entry.kind, "copy")
    assert offered.component.example == entry.component.example
    options = offered.component.options
    assert options.model_json_schema()["properties" if options.model_fields else "type"]
    skipped = {}
    for check in collect_checks("acme_copy.plugin"):
        general = check.name.startswith(("check_component_", "check_plugin_"))
        if check.name != "check_plugin_import_is_light" and (entry.kind in WHOLE or general):
            try:
                check()
            except SkipTest as reason:
                skipped[check.name] = str(reason)
    assert "check_score_finds_planted" not in skipped
    if entry.kind != "watcher":
        assert "check_plugin_readme_recipe" not in skipped


@pytest.mark.parametrize("entry", SHIPPED, ids=lambda entry: f"{entry.kind}-{entry.component.name}")
def test_a_copy_says_where_it_is_from_and_names_its_origin_nowhere_else(entry, tmp_path):
    package = copy(tmp_path, entry, "acme-copy")
    readme = (package.parents[1] / "README.md").read_text()
    assert f"copy of the {entry.kind} `{entry.component.name}` of {entry.plugin}" in readme
    assert (package.parents[1] / "LICENSE").read_text().lstrip().startswith("Apache License")
    ruff = [sys.executable, "-m", "ruff", "check", "--no-cache"]
    done = subprocess.run(ruff, cwd=package.parents[1], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    own = entry.component.load().__module__.partition(".")[0]
    for path in package.rglob("*.py"):
        text = path.read_text()
        ast.parse(text)
        imported = [
            node.module or ""
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.ImportFrom)
        ]
        assert not [name for name in imported if name.partition(".")[0] == own]
        if path.name != "__init__.py":
            assert f" of {entry.plugin} {entry.version}, Apache-2.0" in text


def test_a_copy_requires_what_its_origin_does(tmp_path):
    entry = component_called("backbone:timm-features", None)
    folder = copy(tmp_path, entry, "acme-copy").parents[1]
    needs = tomllib.loads((folder / "pyproject.toml").read_text())["project"]["dependencies"]
    assert [text for text in needs if text.startswith("timm")]
    assert needs[0].startswith("anokit>=")


def test_only_what_is_needed_comes_along(tmp_path):
    package = copy(tmp_path, component_called("score:residual", None), "acme-copy")
    files = {path.relative_to(package).as_posix() for path in package.rglob("*.py")}
    assert files == {"__init__.py", "plugin.py", "residual.py", "samples.py", "tensors.py"}
    text = (package / "residual.py").read_text()
    assert "class Residual:" in text
    assert "FeatureResidual" not in text
    assert 'read(trip, "copy", "image", "image_hat")' in text


def test_the_command_copies_what_it_is_told(anokit, tmp_path):
    done = anokit("new-plugin", "acme-mine", "--from", "score:lr", "--out", tmp_path / "mine")
    assert done.code == 0, done.err
    assert "def anokit_scores" in (tmp_path / "mine/src/acme_mine/plugin.py").read_text()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--from", "residual"], "expected KIND:NAME, such as score:residual"),
        (["--from", "scores:residual"], "expected KIND:NAME, such as score:residual"),
        (["--from", "score:residul"], "residul"),
        (["--from", "score:lr", "--kind", "dataset"], "leave --kind out"),
    ],
)
def test_a_bad_request_gets_one_error_and_writes_nothing(anokit, tmp_path, arguments, reason):
    done = anokit("new-plugin", "acme-mine", *arguments, "--out", tmp_path / "mine")
    assert done.code == 2
    assert done.err.startswith("error: --from")
    assert reason in done.err
    assert not (tmp_path / "mine").exists()


PLUGIN = """
from anokit import Component, hookimpl

{more}

@hookimpl
def anokit_scores():
    yield Component(name="odd", summary="Odd", needs=frozenset({{"image"}}), {fields})
"""
CODE = "class Odd:\n    pass\n"
FACTORY = 'factory="acme_odd.odd:Odd"'


@pytest.mark.parametrize(
    ("fields", "more", "code", "licence", "reason"),
    [
        (FACTORY, "", CODE, "", "does not say under which licence"),
        (FACTORY, "", CODE, "License: Elastic-2.0\n", "brings no text of that"),
        ("factory=lambda options: None", "", CODE, "License: MIT\n", "it has no name there"),
        ('factory="json:dumps"', "", CODE, "License: MIT\n", "outside of acme_odd"),
        (FACTORY, "", "from acme_odd.fast import Odd\n", "License: MIT\n", "no Python source"),
        (FACTORY, "", f"TEXT = open(__file__)\n{CODE}", "License: MIT\n", ""),
        (FACTORY, "", CODE.replace("pass", "text = __file__"), "License: MIT\n", "reads files"),
    ],
)
def test_what_cannot_be_copied_gets_one_error(
    tmp_path, monkeypatch, on_path, fields, more, code, licence, reason
):
    package, info = tmp_path / "acme_odd", tmp_path / "acme_odd-1.0.dist-info"
    package.mkdir()
    info.mkdir()
    (package / "__init__.py").write_text("")
    (package / "plugin.py").write_text(PLUGIN.format(fields=fields, more=more))
    (package / "odd.py").write_text(code)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: acme-odd\nVersion: 1.0\n{licence}"
        + ("License-File: LICENSE\n" if "MIT" in licence else "")
    )
    (info / "licenses").mkdir()
    (info / "licenses" / "LICENSE").write_text("MIT License")
    (info / "entry_points.txt").write_text("[anokit]\nodd = acme_odd.plugin\n")
    on_path(tmp_path)
    entry = component_called("score:odd", None)
    if not reason:
        assert write_plugin("acme-mine", "score", tmp_path / "mine", start=entry)
        text = (tmp_path / "mine" / "LICENSE").read_text()
        assert text == "MIT License"
        return
    with pytest.raises(UsageError) as caught:
        write_plugin("acme-mine", "score", tmp_path / "mine", start=entry)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "mine").exists()


SOURCE = '''"""Odds and ends."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from torch import Generator, Tensor
    from torch.nn import Module

    Values = Iterable[Tensor]
    Others = Mapping[str, Module]

LIMIT = 3
"""How many there are."""

OTHER = 4


# What is asked for.
def first(values: Values) -> float:
    return cast("Generator", math.floor(LIMIT))


def second(values: Others) -> int:
    return OTHER
'''


def test_of_a_module_what_is_asked_for_is_kept_with_what_it_needs(tmp_path):
    path = tmp_path / "odds.py"
    path.write_text(SOURCE)
    kept = written(shake(Source("acme.odds", path), {"first"}), "acme")
    assert kept == (
        "from __future__ import annotations\n\n"
        "import math\nfrom collections.abc import Iterable\n"
        "from typing import TYPE_CHECKING, cast\n\n"
        "if TYPE_CHECKING:\n    from torch import Generator, Tensor\n\n"
        "    Values = Iterable[Tensor]\n\n"
        'LIMIT = 3\n"""How many there are."""\n\n\n'
        "# What is asked for.\n"
        "def first(values: Values) -> float:\n"
        '    return cast("Generator", math.floor(LIMIT))\n'
    )


def test_names_change_where_the_source_speaks_of_the_component():
    entry = component_called("score:lr", None)
    text = (
        "from anokit_scores.tensors import read\n\n\ndef anokit_scores():\n"
        '    """Options of ``lr``."""\n'
        '    read(trip, "lr", key=known["lr"])\n'
        "    raise ValueError(f\"score 'lr' of {lr}\")\n"
    )
    new = renamed(text, entry, "anokit_scores", names_for("acme-mine"))
    assert new == (
        "from acme_mine.tensors import read\n\n\ndef anokit_scores():\n"
        '    """Options of ``mine``."""\n'
        '    read(trip, "mine", key=known["lr"])\n'
        "    raise ValueError(f\"score 'mine' of {lr}\")\n"
    )
