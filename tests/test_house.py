"""What holds for the code itself: who may import what, where labels are read, who may print."""

import ast
import re

import pytest

from anokit.authoring import public_api, workspace

MAX_LINES = 300


@pytest.fixture(scope="module")
def sources(repository):
    """Every source file of the core and of the plugins, as text."""
    paths = [*repository.glob("anokit/**/*.py"), *repository.glob("plugins/*/src/**/*.py")]
    return {path.relative_to(repository).as_posix(): path.read_text() for path in paths}


def imported(text):
    """Yield the modules that a source file imports, wherever it does so."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_plugins_import_the_public_modules_alone(sources):
    wrong = {
        (path, module)
        for path, text in sources.items()
        if path.startswith("plugins/")
        for module in imported(text)
        if re.match(r"anokit(\.|$)", module) and module not in public_api.MODULES
    }
    assert not wrong


def test_plugins_import_of_each_other_what_is_said_to_be_public(sources, repository):
    public = workspace.public_modules(repository)
    between = {
        (own, module)
        for path, text in sources.items()
        if path.startswith("plugins/")
        for own in [path.split("/")[3]]
        for module in imported(text)
        if re.match(r"anokit_", module) and module.partition(".")[0] != own
    }
    assert between
    assert {module for _, module in between} <= set(public)


def test_no_label_is_read_before_the_results(sources):
    rooms = ("anokit/training/", "anokit/scoring/")
    assert [path for path, text in sources.items() if path.startswith(rooms)]
    wrong = [p for p, t in sources.items() if p.startswith(rooms) and re.search(r"\.labels?\b", t)]
    assert not wrong


def test_only_the_command_line_shows_anything(sources):
    for path, text in sources.items():
        if path.startswith("anokit/") and not path.startswith("anokit/cli/"):
            assert not any(m.partition(".")[0] in ("rich", "typer") for m in imported(text)), path
        # The kit, and what makes the page of the public API, are programs of their own.
        programs = ("anokit/cli/", "anokit/testing/", "anokit/authoring/public_api.py")
        if path.startswith("anokit/") and not path.startswith(programs):
            assert not re.search(r"^\s*print\(", text, re.MULTILINE), path


def test_no_file_is_longer_than_one_reads_at_once(sources):
    long = {path: n for path, text in sources.items() if (n := text.count("\n")) > MAX_LINES}
    assert not long


def test_rooms_that_are_not_public_have_nothing_at_the_door(repository):
    """What a package's own file imports is imported by whoever wants any of its modules."""
    public = {module.partition(".")[2] for module in public_api.MODULES} | {"report"}
    for path in (repository / "anokit").glob("*/__init__.py"):
        if path.parent.name not in public:
            assert len(ast.parse(path.read_text()).body) == 1, path
