"""Sweep files: which cells they mean, what they are called, and what is refused."""

import pytest

from anokit.errors import RecipeError, UsageError
from anokit.recipe.sweeps import kind_of, load_sweep


@pytest.fixture
def sweep(tmp_path, recipe_file, registry):
    """Read a sweep file beside two toy recipes, one.toml and two.toml."""
    recipe_file(name="one.toml", extra="\n[quick]\nbackbone = { images = 8 }\n")
    recipe_file("backbone.latent=2", name="two.toml", extra="\n[quick]\nseed = 9\n")

    def load(text, quick=False):
        (tmp_path / "sweep.toml").write_text(text)
        return load_sweep(tmp_path / "sweep.toml", registry, quick=quick)

    return load


CROSSED = """
title = "Crossed"
[matrix]
seed = [1, 2]
recipe = ["one.toml", "two.toml"]
dataset.contamination = [0.0, 0.1]
"""


def test_axes_are_crossed_seeds_fastest_and_cells_named_for_them(sweep):
    found = sweep(CROSSED)
    assert found.title == "Crossed"
    assert [cell.name for cell in found.cells] == [
        f"{recipe}_contamination-{gamma}_seed-{seed}"
        for recipe in ("one", "two")
        for gamma in ("0.0", "0.1")
        for seed in (1, 2)
    ]
    last = found.cells[-1].recipe
    assert (last.seed, last.dataset.keys.contamination, last.name) == (2, 0.1, "two")
    assert last.settings == ("dataset.contamination=0.1", "seed=2")


def test_a_cell_keeps_its_name_when_the_sweep_grows(sweep):
    before = [cell.name for cell in sweep(CROSSED).cells]
    after = [cell.name for cell in sweep(CROSSED.replace("[1, 2]", "[1, 2, 3]")).cells]
    assert set(before) < set(after)


def test_settings_go_from_the_general_to_the_particular(sweep):
    found = sweep(
        'threads = 2\n[matrix]\nrecipe = ["one.toml", "two.toml"]\nbackbone.images = [24]\n'
        '[set]\n"backbone.batch_size" = 4\nbackbone.images = 8\n'
        "[recipes.two]\nbackbone.latent = 3\nbackbone.batch_size = 2\n"
    )
    one, two = (cell.recipe for cell in found.cells)
    for recipe, latent, batch in ((one, 4, 4), (two, 3, 2)):
        options = recipe.backbone.options
        assert (options.images, options.latent, options.batch_size) == (24, latent, batch)
        assert recipe.training.threads == 2


def test_quick_lays_each_recipes_own_table_over_it(sweep):
    text = '[matrix]\nrecipe = ["one.toml", "two.toml"]\n[quick.set]\nbackbone.latent = 1\n'
    whole, short = sweep(text), sweep(text, quick=True)
    assert (whole.name, short.name) == ("sweep", "sweep-quick")
    one, two = (cell.recipe for cell in short.cells)
    assert one.quick
    assert (one.backbone.options.images, two.seed) == (8, 9)
    assert one.backbone.options.latent == two.backbone.options.latent == 1
    assert whole.cells[0].recipe.backbone.options.latent == 4


VARIANTS = """
[matrix]
recipe = ["one.toml"]
variant = ["plain", "short"]
seed = [1, 2]
[set]
backbone.images = 24
[recipes.one]
backbone.batch_size = 4
[variants.plain]
[variants.short]
backbone.images = 16
backbone.batch_size = 2
"""


def test_a_variant_sets_several_keys_at_once(sweep):
    found = sweep(VARIANTS)
    assert [cell.name for cell in found.cells][::2] == [
        "one_variant-plain_seed-1",
        "one_variant-short_seed-1",
    ]
    plain, short = (cell.recipe.backbone.options for cell in found.cells[::2])
    assert (plain.images, plain.batch_size) == (24, 4)
    assert (short.images, short.batch_size) == (16, 2)  # more particular than the recipe's
    assert len({kind_of(cell) for cell in found.cells}) == 2
    quick = sweep(VARIANTS + "[quick.variants.short]\nbackbone.images = 8\n", quick=True)
    assert quick.cells[-1].recipe.backbone.options.images == 8


def test_skip_leaves_cells_out(sweep):
    found = sweep(CROSSED + '[[skip]]\nrecipe = "two.toml"\ndataset.contamination = 0.1\n')
    assert len(found.cells) == 6
    assert not [c for c in found.cells if c.name.startswith("two_contamination-0.1")]


def test_names_that_a_file_system_takes_for_one_are_told_apart(sweep):
    assert sweep('[matrix]\nrecipe = ["one.toml"]\n').cells[0].name == "one"
    values = '["A/b", "a:b"]'
    found = sweep(
        f'[matrix]\nrecipe = ["one.toml"]\ndataset.exclude = {values}\n',
    )
    names = [cell.name.casefold() for cell in found.cells]
    assert len(set(names)) == 2
    assert all("/" not in name and ":" not in name for name in names)


def test_seed_and_contamination_cost_the_same(sweep):
    kinds = [kind_of(cell) for cell in sweep(CROSSED).cells]
    assert len(set(kinds)) == 2
    assert kinds[0] == kinds[3] != kinds[4]


LAYOUT = """
[layout]
rows = [{ name = "a", recipe = "x" }]
columns = [{ name = "b" }]
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[matrix]\nseed = [1]\n", "matrix.recipe  is missing"),
        ("title = 3\n", "matrix"),
        ('[matrix]\nrecipe = ["one.toml"]\nseed = 1\n', "matrix.seed  expected a list"),
        ('[matrix]\nrecipe = ["one.toml"]\nseed = []\n', "matrix.seed  expected a list"),
        ('[matrix]\nrecipe = ["one.toml"]\nseed = [1, 1]\n', "names a value twice"),
        ('[matrix]\nrecipe = ["one.toml"]\nscores = [["lo"]]\n', "is no axis"),
        ('[matrix]\nrecipe = ["one.toml"]\nscores.error.weight = [1]\n', "is no axis"),
        ("[matrix]\nrecipe = [1]\n", "expected names or paths"),
        ('[matrix]\nrecipe = ["one.toml", "x/one.toml"]\n', "two recipes called 'one'"),
        ('matrx = 1\n[matrix]\nrecipe = ["one.toml"]\n', "did you mean 'matrix'"),
        ('[matrix]\nrecipe = ["one.toml"]\n[recipes.two]\nseed = 1\n', "no recipe of the matrix"),
        ('[matrix]\nrecipe = ["one.toml"]\n[[skip]]\nseed = 1\n', "is no axis; there are: recipe"),
        ('[matrix]\nrecipe = ["one.toml"]\n[[skip]]\nrecipe = "one.toml"\n', "every cell"),
        ('[matrix]\nrecipe = ["one.toml"]\nvariant = ["a"]\n', "'a' has no [variants.…]"),
        ('[matrix]\nrecipe = ["one.toml"]\n[variants.a]\n', "variants.a  is not used"),
        (VARIANTS.replace("images = 16", "imges = 16"), "imges"),
        (
            VARIANTS + LAYOUT.replace('recipe = "x"', 'variant = "x"'),
            "layout: a  'x' is no variant of the matrix; there: plain, short",
        ),
        (
            '[matrix]\nrecipe = ["one.toml"]\n' + LAYOUT,
            "layout: a  'x' is no recipe",
        ),
        (
            '[matrix]\nrecipe = ["one.toml"]\n'
            + LAYOUT.replace('recipe = "x"', 'score = "x"').replace('"b"', '"b", score = "y"'),
            "row 'a' and column 'b' both name a score",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(sweep, text, words):
    with pytest.raises(RecipeError, match=r"sweep\.toml") as caught:
        sweep(text)
    assert words in str(caught.value)


def test_a_fault_that_all_cells_share_is_told_once(sweep):
    with pytest.raises(RecipeError) as caught:
        sweep('[matrix]\nrecipe = ["one.toml"]\nseed = [1, 2, 3]\n[set]\nbackbone.imgs = 3\n')
    assert str(caught.value).count("did you mean 'images'") == 1
    assert "cell one_seed-1" in str(caught.value)


def test_a_missing_file_says_so(tmp_path, registry):
    with pytest.raises(UsageError, match="no such"):
        load_sweep(tmp_path / "gone.toml", registry)


def test_published_figures_stay_with_their_contamination(recipe_file, registry):
    from anokit.recipe.reading import load_recipe

    path = recipe_file(extra='\n[published]\nsource = "Somebody"\nerror = 0.7\n')
    assert load_recipe(path, registry).published == {"error": 0.7}
    assert load_recipe(path, registry, settings=["seed=4"]).published == {"error": 0.7}
    other = load_recipe(path, registry, settings=["dataset.contamination=0.1"])
    assert other.published == {}
    assert "are of contamination 0.0, not 0.1" in other.notices[0]
