"""``--set``, ``[quick]`` and the TOML that resolved recipes are shown as."""

import random
import string
import tomllib

import pytest

from anokit.errors import RecipeError, UsageError
from anokit.recipe.changes import apply_setting, merge
from anokit.recipe.reading import load_recipe
from anokit.recipe.toml import to_toml


def data():
    return {
        "seed": 1,
        "dataset": {"use": "blobs", "size": 8},
        "baselines": ["far"],
        "scores": [{"use": "error"}, {"name": "sum", "terms": [{"use": "error", "weight": 1.0}]}],
    }


@pytest.mark.parametrize(
    ("setting", "path", "value"),
    [
        ("seed=2", ["seed"], 2),
        ("seed = 2 ", ["seed"], 2),
        ("dataset.size=16", ["dataset", "size"], 16),
        ("dataset.size=1_000", ["dataset", "size"], 1000),
        ("dataset.share=0.5", ["dataset", "share"], 0.5),
        ("dataset.share=1e-3", ["dataset", "share"], 0.001),
        ("dataset.on=true", ["dataset", "on"], True),
        ("dataset.root=data", ["dataset", "root"], "data"),
        ("dataset.root=/a/b c", ["dataset", "root"], "/a/b c"),
        ('dataset.root="8"', ["dataset", "root"], "8"),
        ("dataset.root=a=b", ["dataset", "root"], "a=b"),
        ("dataset.root=", ["dataset", "root"], ""),
        ("dataset.normal=[1, 2]", ["dataset", "normal"], [1, 2]),
        ("dataset={use='other'}", ["dataset"], {"use": "other"}),
        ("training.snapshots=0", ["training", "snapshots"], 0),
        ("scores.error.weight=2", ["scores", 0, "weight"], 2),
        ("scores.sum.terms.error.weight=2", ["scores", 1, "terms", 0, "weight"], 2),
        ("scores.1.name=total", ["scores", 1, "name"], "total"),
        ("scores.0={use='far'}", ["scores", 0], {"use": "far"}),
        ("baselines.far=error", ["baselines", 0], "error"),
    ],
)
def test_set_changes_one_place_and_no_other(setting, path, value):
    changed, place = data(), None
    apply_setting(changed, setting)
    place = changed
    for key in path:
        place = place[key]
    assert place == value
    assert type(place) is type(value)
    expected = data()
    where = expected
    for key in path[:-1]:
        where = where.setdefault(key, {}) if isinstance(where, dict) else where[key]
    where[path[-1]] = value
    assert changed == expected


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("seed", "--set seed: expected KEY=VALUE, such as"),
        ("=3", "expected KEY=VALUE"),
        ("dataset..size=3", "expected KEY=VALUE"),
        ("seed.x=3", "seed is a value, not a table"),
        ("dataset.size.x=3", "dataset.size is a value, not a table"),
        ("scores.eror.weight=2", "no 'eror' in scores; there are: error, sum"),
        ("scores.2.weight=2", "no '2' in scores; there are: error, sum"),
        ("scores.sum.terms.far.weight=2", "no 'far' in scores.sum.terms; there are: error"),
        ("baselines.far.k=3", "baselines.far is a value, not a table"),
        ("baselines.far.k.j=3", "baselines.far is a value, not a table"),
        ("baselines.knn=3", "no 'knn' in baselines; there are: far"),
    ],
)
def test_set_says_what_it_cannot_change(setting, message):
    changed = data()
    with pytest.raises(UsageError) as caught:
        apply_setting(changed, setting)
    assert message in str(caught.value)
    assert changed == data()


def test_tables_merge_and_arrays_and_values_replace():
    base = {"a": {"b": 1, "c": {"d": 2}}, "e": [1, 2], "f": 3}
    changes = {"a": {"c": {"x": 5}}, "e": [9], "f": 4, "g": {"h": 6}}
    merged = merge(base, changes)
    assert merged == {"a": {"b": 1, "c": {"d": 2, "x": 5}}, "e": [9], "f": 4, "g": {"h": 6}}
    assert base == {"a": {"b": 1, "c": {"d": 2}}, "e": [1, 2], "f": 3}
    changes["g"]["h"] = 0
    assert merged["g"]["h"] == 6


def test_a_table_for_another_component_replaces_and_for_the_same_one_merges():
    base = {"backbone": {"use": "linear", "images": 5}}
    assert merge(base, {"backbone": {"use": "blank"}}) == {"backbone": {"use": "blank"}}
    assert merge(base, {"backbone": {"use": "linear", "noise": 0}})["backbone"] == {
        "use": "linear",
        "images": 5,
        "noise": 0,
    }


def test_recipe_then_quick_then_set(registry, recipe_file):
    path = recipe_file(extra="\n[quick]\nseed = 7\nbackbone = { images = 8, latent = 2 }\n")
    plain = load_recipe(path, registry)
    quick = load_recipe(path, registry, quick=True)
    both = load_recipe(path, registry, quick=True, settings=["backbone.images=16"])
    assert (plain.seed, plain.backbone.options.images, plain.quick) == (3, 96, False)
    assert (quick.seed, quick.backbone.options.images, quick.quick) == (7, 8, True)
    assert (both.backbone.options.images, both.backbone.options.latent) == (16, 2)
    assert quick.backbone.options.batch_size == plain.backbone.options.batch_size


def test_a_wrong_set_is_a_recipe_error_like_any_other(registry, recipe_file):
    with pytest.raises(RecipeError, match=r"backbone\.images"):
        load_recipe(recipe_file(), registry, settings=["backbone.images=-3"])


def random_value(draw, depth):
    """Return something that a recipe may hold."""
    text = "".join(
        draw.choices(string.printable + "äß→\x00\x1b\x7f\u2028\\\"'", k=draw.randrange(8))
    )
    kinds = [
        lambda: text,
        lambda: draw.randrange(-(10**12), 10**12),
        lambda: draw.uniform(-1, 1) * 10 ** draw.randrange(-300, 300),
        lambda: draw.choice([float("inf"), float("-inf"), 0.0, -0.0, 1e16]),
        lambda: draw.random() < 0.5,
        lambda: [random_value(draw, 0) for _ in range(draw.randrange(4))],
        lambda: random_table(draw, depth - 1),
        lambda: [random_table(draw, depth - 1) for _ in range(draw.randrange(4))],
        lambda: [[random_table(draw, depth - 1)], [1, 2]],
    ]
    return draw.choice(kinds if depth > 0 else kinds[:6])()


def random_table(draw, depth):
    names = ["a", "b-c", "d_e", "1", "with space", "dotted.name", "ünicode", "", 'quo"te', "\t"]
    return {
        name: random_value(draw, depth) for name in draw.sample(names, draw.randrange(len(names)))
    }


@pytest.mark.parametrize("seed", range(150))
def test_what_is_written_as_toml_reads_back_equal(seed):
    table = {
        key: value for key, value in random_table(random.Random(seed), 3).items() if value != {}
    }
    assert tomllib.loads(to_toml(table)) == table


def test_none_is_left_out_everywhere():
    table = {"a": None, "b": {"c": None, "d": [{"e": None, "f": 1}]}, "g": [{"h": None}]}
    assert tomllib.loads(to_toml(table)) == {"b": {"d": [{"f": 1}]}, "g": [{}]}
