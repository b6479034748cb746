"""A wrong recipe is refused with all that is wrong and where; a right one reads back."""

import json

import pytest

from anokit.errors import PluginError, RecipeError, UsageError
from anokit.plugin import Options, resolve_fields
from anokit.recipe.reading import check_recipe, load_recipe, resolve
from anokit.registry.lookup import Registry
from anokit.store.training_digest import training_digest


def wrong(registry, path, **options):
    """Return the message of a recipe that must be refused."""
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, registry, **options)
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('title = "x"\nseed = = 3\n', ":2:8: "),
        ("[dataset\n", ":1:9: "),
        ('title = "never closed', ":1:"),
        ("a = 1\n" * 2, ":2:"),
        ("a = [1,\n2,\n", ":"),
    ],
)
def test_malformed_toml_names_file_line_and_column(registry, tmp_path, text, place):
    path = tmp_path / "broken.toml"
    path.write_text(text)
    message = wrong(registry, path)
    assert message.startswith(f"{path}{place}")
    assert "not valid TOML" in message
    assert all(part.isdecimal() for part in message.removeprefix(f"{path}:").split(":")[:2])


def test_a_file_that_is_not_there_lists_its_neighbours(registry, recipe_file):
    path = recipe_file()
    with pytest.raises(UsageError, match=r"no such recipe; in .* there are: .*toys\.toml"):
        load_recipe(path.with_name("other.toml"), registry)
    with pytest.raises(
        UsageError, match=r"toy\.toml: no such recipe, did you mean .*toys\.toml\?$"
    ):
        load_recipe(path.with_name("toy.toml"), registry)


def test_a_folder_or_a_binary_file_is_no_recipe(registry, tmp_path):
    (tmp_path / "image.toml").write_bytes(b"\x89PNG\xff\xfe")
    for path in (tmp_path, tmp_path / "image.toml"):
        with pytest.raises(UsageError, match="cannot be read as a recipe"):
            load_recipe(path, registry)


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        # Unknown keys, with what was probably meant.
        (["sed=3"], ["sed ", "unknown option; a recipe takes:", "did you mean 'seed'?"]),
        (["bakbone.x=1"], ["bakbone", "did you mean 'backbone'?"]),
        (["backbone.imges=3"], ["backbone.imges", "'linear' takes:", "did you mean 'images'?"]),
        (["scores.far.mst=3"], ["scores.far.mst", "'far' takes: most; did you mean 'most'?"]),
        (["scores.error.depth=3"], ["scores.error.depth", "'error' takes: no options"]),
        (["dataset.contaminaton=0.1"], ["dataset.contaminaton", "unknown option"]),
        (["training.log_evry=3"], ["training.log_evry", "did you mean 'log_every'?"]),
        (["evaluation.batchsize=3"], ["evaluation.batchsize", "did you mean 'batch_size'?"]),
        (["threshold.methd=gpd"], ["threshold.methd", "did you mean 'method'?"]),
        # Unknown components.
        (["backbone.use=liner"], ["backbone.use", "unknown backbone 'liner'", "'linear'?"]),
        (["dataset.use=blob"], ["dataset.use", "unknown dataset 'blob', did you mean 'blobs'?"]),
        (["scores.far.use=fr"], ["scores.fr.use", "unknown score 'fr'", "'far'?"]),
        (["encoder-losses.shrink.use=srink"], ["unknown encoder-loss 'srink'", "'shrink'?"]),
        (["scores.sum.terms.far.use=fr"], ["scores.sum.terms.fr.use", "'far'?"]),
        (["backbone.use=error"], ["there is a score of that name"]),
        (["backbone={images=3}"], ["backbone.use", 'names no backbone: write use = "…"']),
        (["backbone.use=3"], ["backbone.use", "names no backbone"]),
        # Wrong types.
        (["seed=often"], ["seed ", "valid integer", "got 'often'"]),
        (["backbone.images=many"], ["backbone.images", "valid integer", "got 'many'"]),
        (["backbone=linear"], ["backbone ", "got 'linear'"]),
        (["scores=error"], ["scores ", "valid list", "got 'error'"]),
        (["scores=[]"], ["scores ", "at least 1 item"]),
        (
            ["scores.error.weight=heavy"],
            ["scores.error.weight", "input should be a valid number, got 'heavy'"],
        ),
        (["scores.error.weight=true"], ["input should be a valid number, got True"]),
        (["scores.error.weight=nan"], ["expected finite numbers, got nan"]),
        (["scores.error.weight=inf"], ["expected finite numbers, got inf"]),
        (
            ["dataset.contamination=some"],
            ["dataset.contamination", "input should be a valid number"],
        ),
        (["training=3"], ["training ", "got 3"]),
        (["scores.sum.terms=3"], ["scores.sum.terms", "must be a list such as"]),
        (["scores.sum.terms=[]"], ["scores.sum.terms", "must be a list such as"]),
        (["baselines=3"], ["baselines", "got 3"]),
        # Wrong ranges.
        (["seed=-1"], ["seed ", "greater than or equal to 0", "got -1"]),
        (["backbone.images=0"], ["backbone.images", "greater than or equal to 1, got 0"]),
        (["threshold.false_alarms=1"], ["threshold.false_alarms", "less than 1", "got 1"]),
        (["threshold.false_alarms=0"], ["threshold.false_alarms", "greater than 0", "got 0"]),
        (["threshold.trim=0.5"], ["threshold.trim", "less than 0.5", "got 0.5"]),
        (["evaluation.folds=1"], ["evaluation.folds", "got 1"]),
        (
            ["dataset.group=3"],
            ["1 error", "dataset.group ", "a valid string, or input should be a table"],
        ),
        (["scores.sum.combine=mean"], ["scores.sum.combine", "robust-z", "got 'mean'"]),
        (
            ["scores.sum.terms.far.full_weight_at=9"],
            ["scores.sum ", "full_weight_at = 9 of its term 'far'", 'combine = "robust-z"'],
        ),
        (
            ["scores.sum.terms.far.alternative=true"],
            ["scores.sum ", "alternative = true begins", 'write combine = "robust-z"'],
        ),
        (
            ["scores.sum.terms.error.alternative=true", 'scores.sum.combine="robust-z"'],
            ["scores.sum ", "which the first term cannot: remove it there"],
        ),
        (["scores.error.alternative=true"], ["scores.error ", "the first term cannot"]),
        (["scores.error.full_weight_at=2"], ["scores.error ", "full_weight_at = 2"]),
        (["scores.far.full_weight_at=0"], ["scores.far.full_weight_at", "got 0"]),
        (["encoder-losses.shrink.full_weight_at=2"], ["encoder-losses.shrink.full_weight_at"]),
        (["evaluation.resamples=0"], ["evaluation.resamples", "got 0"]),
        (["dataset.labels=many"], ["dataset.labels", "'both'", "got 'many'"]),
        (
            ["dataset.contamination=1"],
            ["dataset.contamination", "input should be less than 1, got 1"],
        ),
        (["dataset.contamination=-0.1"], ["input should be greater than or equal to 0, got -0.1"]),
        *(
            (
                [f"{key}={10**400}"],
                [key.removesuffix(".share"), "expected numbers of at most 64 bits, got 10000000"],
            )
            for key in (
                "seed",
                "dataset.contamination",
                "dataset.contaminants_from_test",
                "backbone.learning_rate",
                "scores.error.weight",
                "training.checkpoint_minutes",
                "training.refine.share",
                "evaluation.batch_size",
                "threshold.trim",
            )
        ),
        ([f"published.error={10**400}", 'published.source="A"'], ["published", "64 bits"]),
        (["dataset.contaminants_from_test=2"], ["dataset.contaminants_from_test", "got 2"]),
        (
            ["dataset.when_missing=wait"],
            ["dataset.when_missing", "input should be 'error' or 'simulate', got 'wait'"],
        ),
        (["dataset.when_missing=simulate"], ["dataset 'blobs' has no simulation"]),
        # Parts that do not fit.
        (
            ["scores.far.use=seen"],
            ["scores.seen", "score 'seen' needs features; backbone 'linear' provides image, "],
        ),
        (
            ["scores.sum.terms.far.use=seen"],
            ["scores.sum ", "score 'seen' needs features; backbone 'linear' provides"],
        ),
        (
            ["backbone.use=blank"],
            ["encoder-losses.shrink", "backbone 'blank' trains no encoder: remove [[encoder-losse"],
        ),
        (
            ["encoder-losses.shrink.use=dream"],
            ["encoder-losses.dream", "needs trips from latent", "on trips from image"],
        ),
        (["encoder-losses.shrink.use=judge"], ["encoder-losses.judge", "needs critic; backbone"]),
        (['baselines=["error"]'], ["baselines.error", "needs image_hat", "[[scores]]"]),
        # Names.
        (["scores.far.name=error"], ["scores.error", "this name is taken"]),
        (['baselines=["far"]'], ["scores.far", "this name is taken"]),
        (["scores.far.name=a/b"], ["a name is made of a to z, 0 to 9"]),
        (["scores.far.name=Far"], ["a name is made of a to z, 0 to 9"]),
        (['scores.far.name=""'], ["a name is made of a to z, 0 to 9"]),
        (['scores.far.name="far\\u0007"'], ["scores.far\\x07", "a name is made of a to z"]),
        ([f"scores.far.name={'a' * 200}"], ["at most 64 characters"]),
        (["scores.far.name=con"], ["scores.con", "this name is reserved"]),
        (["scores.far.name=label"], ["scores.label", "this name is reserved"]),
        (["scores.sum.use=far"], ["scores.sum.use", "takes only name, combine and terms"]),
        (['scores=[{terms=[{use="far"}]}]'], ["scores.0.name", "a score with terms needs a name"]),
        (["scores.far.terms.x=1"], ["scores.far.terms"]),
        (["backbone.weight=2"], ["backbone.weight", "does not belong to a backbone; remove it"]),
        (["scores.far.contamination=0.1"], ["does not belong to a score; remove it"]),
        # Published figures.
        (
            ["published.eror=0.7", 'published.source="A"'],
            ["published.eror", "no score of that name; there are: error, sum, far"],
        ),
        (["published.error=0.7"], ["published.source", "is missing: name the paper"]),
        (
            ['published.source="A"', "published.error=good"],
            ["published.error", "must be a number, got 'good'"],
        ),
        # Required plugins.
        (
            ['requires=["anokit-nowhere"]'],
            ["requires", "anokit-nowhere is not installed; pip inst"],
        ),
        (['requires=["anokit>=99"]'], ["requires", "anokit>=99: installed is"]),
        (['requires=["==3"]'], ["requires", "is not of the form"]),
    ],
    ids=lambda value: " ".join(value)[:60],
)
def test_what_is_wrong_is_said(registry, recipe_file, settings, parts):
    message = wrong(registry, recipe_file(), settings=settings)
    for part in parts:
        assert part in message


@pytest.mark.parametrize("key", ["dataset", "backbone", "scores"])
def test_a_missing_table_is_named(registry, recipe_file, key):
    path = recipe_file()
    text = (
        path.read_text().replace(f"[{key}]", "[published]").replace(f"[[{key}]]", "[[baselines]]")
    )
    path.write_text(text)
    message = wrong(registry, path)
    assert f"{key}" in message
    assert "is missing" in message


def test_several_errors_come_at_once(registry, recipe_file):
    settings = ["backbone.images=0", "dataset.sise=3", "scores.far.use=fr", "encoder-losses.0.w=1"]
    message = wrong(registry, recipe_file(), settings=settings)
    assert ": 4 errors" in message.splitlines()[0]
    for where in ("backbone.images", "dataset.sise", "scores.fr.use", "encoder-losses.shrink.w"):
        assert any(line.startswith(f"  {where} ") for line in message.splitlines())


def test_an_absent_baseline_is_left_out_with_a_notice_and_a_misspelt_one_is_an_error(
    make, registry
):
    recipe = make('baselines=["pixel-knn"]')
    assert recipe.baselines == ()
    assert recipe.notices == ("baseline 'pixel-knn' is left out: no installed plugin offers it",)
    with pytest.raises(RecipeError, match=r"baselines.farr.use .*did you mean 'far'"):
        make('baselines=["farr"]')


def test_a_baseline_takes_options_and_a_name(make):
    (baseline,) = make('baselines=[{use="far", name="mean", most=5}]').baselines
    assert (baseline.name, baseline.role) == ("mean", "baseline")
    assert baseline.terms[0].options.most == 5


def test_check_looks_at_the_quick_table_too(registry, recipe_file):
    path = recipe_file(extra="\n[quick]\nbackbone = { imges = 3 }\n")
    assert load_recipe(path, registry)
    with pytest.raises(RecipeError, match=r"backbone\.imges(.|\n)*\(with --quick\)"):
        check_recipe(path, registry)


def test_quick_without_a_quick_table_is_an_error(registry, recipe_file):
    assert "the recipe has no [quick] table" in wrong(registry, recipe_file(), quick=True)


def test_a_quick_that_is_no_table_is_an_error(registry, recipe_file):
    path = recipe_file()
    path.write_text("quick = 3\n" + path.read_text())
    for quick in (False, True):
        assert "quick " in wrong(registry, path, quick=quick)


@pytest.mark.parametrize(
    "settings",
    [
        [],
        ['baselines=[{use="far", name="mean", weight=2.5}]', "dataset.contamination=0.1"],
        ['published={source="A", error=0.5}', 'requires=["anokit>=0.0.1"]'],
        ["backbone.use=blank", "encoder-losses=[]", 'scores=[{use="seen"}]'],
    ],
)
def test_a_resolved_recipe_reads_back_equal(registry, make, settings):
    recipe = make(*settings)
    assert_reads_back(recipe, registry)


def test_every_recipe_of_the_project_reads_back_equal(repository):
    registry = Registry.load()
    for path in sorted((repository / "recipes").glob("*.toml")):
        for recipe in check_recipe(path, registry):
            assert_reads_back(recipe, registry)


def assert_reads_back(recipe, registry):
    stored = json.loads(json.dumps(recipe.as_dict()))
    again = resolve(stored, registry, recipe.path)
    assert again.as_dict() == recipe.as_dict()
    assert training_digest(stored) == training_digest(recipe.as_dict())
    for part in ("dataset", "backbone", "encoder_losses", "scores", "baselines", "published"):
        assert getattr(again, part) == getattr(recipe, part)


@pytest.mark.parametrize(
    ("setting", "changes"),
    [
        ("seed=4", True),
        ("backbone.images=97", True),
        ("dataset.gray=1", True),
        ("encoder-losses.0.weight=0.5", True),
        ("training.max_steps=3", True),
        ("training.threads=1", True),
        ("title='Other'", False),
        ("scores.far.most=3", False),
        ("training.checkpoint_minutes=1", False),
        ("evaluation.batch_size=2", False),
    ],
)
def test_the_digest_follows_what_decides_the_weights(make, setting, changes):
    assert (
        training_digest(make(setting).as_dict()) != training_digest(make().as_dict())
    ) == changes


def test_a_function_of_needs_that_fails_is_named():
    def fields_by_stage(options):
        raise KeyError("stage")

    with pytest.raises(
        PluginError, match=r"test_reading.*fields_by_stage failed .* KeyError: 'stage'; this is a f"
    ):
        resolve_fields(fields_by_stage, Options())
