"""What docs/security.md says: nothing is unpickled, and its tests are there."""

import ast
import re

import pytest


def calls(path):
    """Yield every call in a source file as its dotted name and its keywords."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}


def unsafe(name, keywords):
    """Return whether a call may execute what a file holds."""
    if name in ("eval", "exec", "torch.load", "marshal.loads", "marshal.load"):
        return keywords.get("weights_only") != "True"
    if re.fullmatch(r"(pickle|joblib|dill)\.(load|loads|Unpickler)", name):
        return True
    return keywords.get("allow_pickle") == "True"


@pytest.mark.parametrize(
    ("call", "bad"),
    [
        ("torch.load(f)", True),
        ("torch.load(f, weights_only=True)", False),
        ("pickle.loads(b)", True),
        ("np.load(f, allow_pickle=True)", True),
        ("np.load(f, allow_pickle=False)", False),
        ("exec(text)", True),
        ("load(f)", False),
    ],
)
def test_the_check_sees_what_it_is_for(tmp_path, call, bad):
    path = tmp_path / "x.py"
    path.write_text(call)
    assert any(unsafe(*one) for one in calls(path)) is bad


def test_nothing_that_a_file_holds_is_executed(repository):
    sources = [*repository.glob("anokit/**/*.py"), *repository.glob("plugins/*/src/**/*.py")]
    assert len(sources) > 100
    allowed = {"anokit/registry/discovery.py"}  # plugins, once they are trusted
    found = [
        f"{path.relative_to(repository)}: {name}"
        for path in sources
        if path.relative_to(repository).as_posix() not in allowed
        for name, keywords in calls(path)
        if unsafe(name, keywords)
    ]
    assert found == []


def test_the_page_names_tests_that_are_there(repository):
    text = (repository / "docs" / "security.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", text))
    assert len(named) > 5
    assert [name for name in sorted(named) if not (repository / name).is_file()] == []
