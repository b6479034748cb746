"""The documentation says what is so: made anew it is equal, snippets are right, all is there."""

import inspect
import re
import tomllib
from pathlib import Path

import pytest

from anokit.authoring import docs, public_api, workspace
from anokit.authoring.api_page import package_file
from anokit.cli.app import COMMANDS
from anokit.errors import AnokitError
from anokit.plugin import RESERVED_OPTIONS, Component, resolve_fields
from anokit.recipe.reading import resolve
from anokit.recipe.tables import (
    EvaluationSettings,
    RecipeTables,
    RefineSettings,
    ThresholdSettings,
    TrainingSettings,
)
from anokit.registry import discovery, hookspecs
from anokit.registry.hookspecs import HOOKS
from anokit.registry.lookup import Registry
from anokit.testing.check import PROMISES

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"
PAGES = sorted([*DOCS.glob("*.md"), *REPOSITORY.glob("*.md"), *REPOSITORY.glob("plugins/*/*.md")])
FENCE = re.compile(r"^```toml[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
OTHERS = [package for package in workspace.packages(DOCS) if package.public]
API = ["api.md", *map(package_file, OTHERS)]
SNIPPETS = [
    pytest.param(text, id=f"{page.relative_to(REPOSITORY)}-{number}")
    for page in PAGES
    for number, text in enumerate(FENCE.findall(page.read_text(encoding="utf-8")))
]


TUTORIAL = re.compile(r'^```python title="[^"]*/plugin.py"\n(.*?)^```', re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def with_tutorial(first_party, tmp_path_factory):
    """The same with the score that the tutorial builds."""
    (code,) = TUTORIAL.findall((DOCS / "tutorial-score.md").read_text(encoding="utf-8"))
    path = tmp_path_factory.mktemp("tutorial") / "acme_angle.py"
    path.write_text(code, encoding="utf-8")
    more = discovery.load(discovery.file_plugin(path)).entries
    return Registry(discovery.Loaded([*first_party.entries, *more]))


@pytest.fixture(scope="module")
def first_party():
    """The registry of the plugins of this repository, whatever else is installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("ANOKIT_PLUGINS", raising=False)
        return docs.described(DOCS)


@pytest.mark.parametrize("name", ["components.md", "cli.md", "systems.md", *API])
def test_generated_pages_are_up_to_date(first_party, name):
    made = docs.pages(first_party, COMMANDS, DOCS)[name]
    assert (DOCS / name).read_text(encoding="utf-8") == made, "write them anew with: anokit docs"


@pytest.mark.parametrize("text", SNIPPETS)
def test_every_toml_snippet_is_right(with_tutorial, text):
    tables = tomllib.loads(text)
    if not set(tables) & {"dataset", "backbone", "encoder-losses", "scores", "baselines"}:
        return  # a piece of pyproject.toml
    faults = {}
    for completed in completions(tables, with_tutorial):
        try:
            resolve(completed, with_tutorial, Path("snippet.toml"))
        except AnokitError as error:
            faults[completed["backbone"]["use"]] = str(error)
        else:
            return
    raise AssertionError("\n".join(faults.values()))


def completions(tables, registry):
    """Yield whole recipes that a snippet may be a part of: with every backbone, if it has none."""
    rest = {"dataset": {"use": "digits"}, "scores": [{"use": "pixel-knn"}]}
    for entry in registry.of_kind("backbone"):
        own = {"backbone": {"use": entry.component.name, **entry.component.example}}
        options = entry.component.options(**entry.component.example)
        starts = resolve_fields(entry.component.trips, options)
        trained = next((e for e in registry.entries if e.component.trip_from in starts), None)
        if trained and "backbone" not in tables:
            own["encoder-losses"] = [{"use": trained.component.name}]
        yield {**rest, **own, **tables}
    if "backbone" in tables and "encoder-losses" not in tables:
        yield {**rest, "encoder-losses": [{"use": "di"}], **tables}


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_has_a_heading_with_its_signature(name):
    hook = getattr(hookspecs, name)
    signature = str(inspect.signature(hook)).replace("'", "")
    heading = f"### `{name}{signature}`\n{inspect.getdoc(hook)}"
    assert heading in (DOCS / "plugins.md").read_text(encoding="utf-8")


def test_every_field_of_a_component_is_documented():
    text = (DOCS / "plugins.md").read_text(encoding="utf-8")
    missing = [name for name in inspect.signature(Component).parameters if f"`{name}`" not in text]
    assert not missing


def test_every_check_is_documented():
    text = (DOCS / "testing.md").read_text(encoding="utf-8")
    for promise in PROMISES:
        said = (promise.text[0].upper() + promise.text[1:]).replace("``", "`")
        assert f"| `{promise.name}` | {promise.since} | {said} |" in text


def test_every_key_of_a_recipe_is_documented():
    text = (DOCS / "recipes.md").read_text(encoding="utf-8")
    keys = {field.alias or name for name, field in RecipeTables.model_fields.items()}
    for settings in (
        TrainingSettings,
        RefineSettings,
        EvaluationSettings,
        ThresholdSettings,
    ):
        keys |= set(settings.model_fields)
    missing = [key for key in sorted(keys | RESERVED_OPTIONS) if not documented(key, text)]
    assert not missing


def documented(key, text):
    """Return whether a key stands in backquotes, as a table's head, or in an example."""
    return re.search(rf"`{key}`|\[+{key}\]|^{key} = ", text, re.MULTILINE)


def test_every_public_name_and_command_is_documented(first_party):
    api = "".join((DOCS / name).read_text() for name in API)
    cli = (DOCS / "cli.md").read_text()
    for module in (*public_api.MODULES, *workspace.public_modules(DOCS)):
        section = api.partition(f"\n## {module}\n")[2].partition("\n## ")[0]
        for name in public_api.names(module):
            assert re.search(rf"^\| \[`{name}`\]\(#[^)]+\) \| \S", section, re.MULTILINE), (
                f"{module}.{name}"
            )
    assert {
        "run",
        "score",
        "add-scores",
        "check",
        "new-plugin",
        "check-plugin",
        "docs",
        "schema",
    } <= {line.removeprefix("## anokit ") for line in cli.splitlines() if line.startswith("## ")}
    for entry in first_party.entries:
        assert f"{entry.kind} `{entry.component.name}`" in (DOCS / "components.md").read_text()


def test_a_package_with_public_modules_links_to_their_page():
    for package in OTHERS:
        readme = REPOSITORY / "plugins" / package.name / "README.md"
        assert f"](../../docs/{package_file(package)})" in readme.read_text(encoding="utf-8")


LINK = re.compile(r"\]\(([^)#:\s]*)(?:#([^)\s]+))?\)")
OURS = ["plugins.md", "testing.md", "tutorial-score.md", "components.md", "cli.md", *API]


@pytest.mark.parametrize("name", OURS)
def test_links_lead_somewhere(name):
    page = DOCS / name
    for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        other = DOCS / target if target else page
        assert other.is_file(), target
        assert not anchor or anchor in anchors(other.read_text(encoding="utf-8")), anchor


def anchors(text):
    """Return the anchors of a page's headings."""
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head).lower().strip().replace(" ", "-") for head in heads}


def test_check_finds_what_is_out_of_date(anokit, tmp_path):
    assert anokit("docs", "--check", "--out", tmp_path).code == 1
    assert anokit("docs", "--out", tmp_path).code == 0
    assert anokit("docs", "--check", "--out", tmp_path).code == 0
    (tmp_path / "cli.md").write_text("# Commands\n")
    done = anokit("docs", "--check", "--out", tmp_path)
    assert (done.code, done.out) == (
        1,
        f"{tmp_path / 'cli.md'}: out of date; write it anew with: anokit docs\n",
    )
