"""The page on all systems shows what was measured, and says when a recipe has changed since."""

import json
import shutil

import pytest

from anokit.authoring.measured import Measured, Shelf, digest_of, keep, settings_in
from anokit.authoring.systems import systems_page
from anokit.errors import CheckpointError
from anokit.recipe.reading import load_recipe
from anokit.registry.entries import ShippedRecipe
from anokit.results.metrics import Estimate
from anokit.results.rows import Judgement, Refined, Results, Row

PUBLISHED = """
[published]
source = "Somebody (2020), Table 1 (recalled, unverified)"
differs = "half as many images."
error = 0.9

[quick]
backbone = { images = 16 }
"""
RUN = "toys --quick --set dataset.contamination=0.1 --set training.threads=1"
BFLOAT = f"{RUN} --set backbone.precision=bf16"


@pytest.fixture
def library(registry, recipe_file, monkeypatch):
    """A registry in which one plugin ships a recipe of a paper and one that is of none."""
    paper = recipe_file(extra=PUBLISHED)
    plain = recipe_file(name="plain.toml")
    shipped = [ShippedRecipe(p.stem, p, "anokit-toys", "0.1.0") for p in (paper, plain)]
    monkeypatch.setattr(registry, "recipes", shipped)
    return registry


def measured(library, arguments, auroc=0.8, **changes):
    """Return what a run of these arguments would leave."""
    first, *rest = arguments.split()
    path = next(one.path for one in library.recipes if one.path.stem == first)
    settings = settings_in(arguments)
    recipe = load_recipe(path, library, quick="--quick" in rest, settings=settings)
    estimate = Estimate(auroc, auroc - 0.05, auroc + 0.05)
    results = Results(
        recipe=first,
        seed=3,
        quick="--quick" in rest,
        contamination=recipe.dataset.keys.contamination,
        primary="error",
        protocol="blobs",
        train_images=60,
        rows=[Row(name="error", metrics={"auroc": estimate}), Row(name="far", kind="baseline")],
    )
    return Measured(
        arguments=arguments,
        digest=digest_of(recipe.as_dict()),
        results=results.model_copy(update=changes),
    )


def page(library, *kept):
    return systems_page(library, Shelf(tuple(kept)))


def row_of(text, name):
    return next(line for line in text.splitlines() if line.startswith(f"| `{name}`"))


def test_a_recipe_has_its_published_figure_and_where_it_is_from(library):
    text = page(library)
    assert row_of(text, "toys").split(" | ") == [
        "| `toys`",
        "[`linear`](components.md#backbone-linear)",
        "anokit-toys",
        "error 0.9 (unverified)",
        "–",
        "–",
        "– |",
    ]
    (line,) = [line for line in text.splitlines() if line.startswith("- `toys`")]
    assert "Somebody (2020), Table 1 (recalled, unverified)" in line
    assert line.endswith("half as many images. The whole recipe was not run here.")
    assert text.index("## Not in a paper") < text.index("| `plain`")


def test_what_was_measured_stands_in_its_column(library):
    runs = [measured(library, arguments) for arguments in ("toys", "toys --quick", RUN)]
    runs += [measured(library, "toys --quick --set seed=9", auroc=0.2)]
    cells = row_of(page(library, *runs), "toys").split(" | ")
    assert cells[-3:] == ["0.800 [0.750, 0.850]"] * 2 + ["0.800 [0.750, 0.850] |"]
    quick = page(library, *runs[1:2])
    assert row_of(quick, "toys").split(" | ")[-3:] == ["–", "0.800 [0.750, 0.850]", "– |"]
    assert "The whole recipe was not run here, its quick form was." in quick


def test_a_figure_that_was_not_reached_is_said_to_be(library):
    assert "not reached: 0.800 [0.750, 0.850], published 0.9" in page(
        library, measured(library, "toys")
    )
    assert "not reached" not in page(library, measured(library, "toys", auroc=0.87))


def test_a_reduced_form_that_was_run_is_said_to_be(library):
    run = measured(library, "toys --set backbone.images=8", auroc=0.7)
    text = page(library, run)
    assert "With backbone.images=8: 0.700 [0.650, 0.750]." in text
    assert row_of(text, "toys").split(" | ")[-3:] == ["–", "–", "– |"]


def test_every_run_is_listed_with_what_makes_it_again_and_all_scores(library):
    refined = Refined(
        strategy="reject",
        share=0.1,
        score="error",
        judgements=[Judgement(shown=60, rejected=6, contaminants=4)],
    )
    text = page(library, measured(library, RUN, refined=refined, contaminants=5))
    assert f"### `{RUN}`\n" in text
    assert "5 contaminants; left out of training in the end 6 images, 4 contaminants" in text
    assert "| far (baseline) | – |" in text


def test_a_recipe_that_has_changed_since_is_marked(library, recipe_file):
    run = measured(library, "toys --quick")
    assert "0.850] *" not in page(library, run)
    recipe_file("evaluation.resamples=21", extra=PUBLISHED)
    text = page(library, run)
    assert "0.800 [0.750, 0.850] *" in row_of(text, "toys")
    assert "### `toys --quick` *" in text


@pytest.mark.parametrize(
    "setting", ["training.threads=1", "dataset.root=elsewhere", "backbone.noise=0.1"]
)
def test_the_digest_is_of_what_decides_the_figures(setting):
    resolved = {
        "seed": 1,
        "dataset": {"use": "blobs", "root": "data"},
        "backbone": {"noise": 0.2},
        "encoder-losses": [],
        "scores": [],
        "baselines": [],
        "training": {"threads": None},
        "evaluation": {},
        "title": "T",
    }
    table, _, key = setting.partition("=")[0].partition(".")
    other = {**resolved, "title": "U", table: {**resolved[table], key: setting}}
    assert (digest_of(other) == digest_of(resolved)) == ("noise" not in setting)


def test_a_key_that_is_unset_is_as_if_it_were_not_there(library):
    resolved = json.loads(json.dumps(load_recipe(library.recipes[0].path, library).as_dict()))
    assert "refine" in resolved["training"]
    older = {**resolved, "training": {**resolved["training"]}}
    del older["training"]["refine"]
    assert digest_of(older) == digest_of(resolved)


def test_a_finished_run_is_kept_and_read_back(finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    path = keep(run, tmp_path / "measured")
    assert path.name == "toys.json"
    (kept,) = Shelf.read(tmp_path / "measured").kept
    assert kept.arguments.split()[0] == "toys"
    assert kept.digest == digest_of(json.loads((run / "resolved.json").read_text()))
    stored = json.loads((run / "results.json").read_text())["rows"]
    assert [row.metrics["auroc"].value for row in kept.results.rows] == [
        row["metrics"]["auroc"]["value"] for row in stored
    ]
    assert keep(run, tmp_path / "measured") == path  # measured again, it takes its own place


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"x\.json: damaged"):
        Shelf.read(tmp_path)


def test_settings_name_the_file_but_for_those_of_the_machine(library):
    assert measured(library, RUN).name == "toys-quick-dataset.contamination-0.1"
    assert measured(library, "toys").name == "toys"
    long = [f"{RUN} --set backbone.images={n}" * 4 for n in (8, 9)]
    names = {measured(library, RUN).model_copy(update={"arguments": a}).name for a in long}
    assert len(names) == 2
    assert all(len(name) <= 80 for name in names)
    elsewhere = measured(library, RUN).model_copy(update={"arguments": BFLOAT})
    assert elsewhere.name == measured(library, RUN).name


def test_everything_that_is_kept_is_of_a_recipe_that_there_is(repository):
    names = {path.stem for path in (repository / "recipes").glob("*.toml")}
    for kept in Shelf.read(repository / "docs" / "measured").kept:
        assert kept.results.recipe in names
        assert kept.results.data == "real"


def test_what_differs_is_text(library, tmp_path):
    from anokit.errors import RecipeError

    path = tmp_path / "toys.toml"
    path.write_text(path.read_text().replace('"half as many images."', "1"))
    with pytest.raises(RecipeError, match=r"published\.differs +must be text, got 1"):
        load_recipe(path, library)
