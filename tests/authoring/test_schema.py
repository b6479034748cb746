"""The JSON Schema of recipes: what is right passes, what is wrong does not, nothing dangles."""

import copy
import json
import tomllib

import jsonschema
import pytest

from anokit.authoring.schema import recipe_schema
from anokit.registry.lookup import Registry

WHOLE = {
    "dataset": {"use": "digits", "normal": [0], "contamination": 0.1},
    "backbone": {"use": "pgan", "images": 100},
    "encoder-losses": [{"use": "di", "weight": 2.0}],
    "scores": [
        {"use": "lr"},
        {"name": "sum", "terms": [{"use": "ln", "weight": 0.5}, {"use": "lo"}]},
        {"name": "mine", "use": "anokit-scores/ln", "mode": "rms"},
    ],
    "baselines": ["pixel-knn", {"use": "pixel-knn", "k": 3, "name": "three"}],
    "quick": {"backbone": {"images": 10}},
}


@pytest.fixture(scope="module")
def validator():
    schema = json.loads(json.dumps(recipe_schema(Registry.load())))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def changed(path, value):
    """Return the recipe above with one value changed."""
    tables = copy.deepcopy(WHOLE)
    place = tables
    *above, last = path
    for key in above:
        place = place[key]
    place[last] = value
    return tables


def test_a_right_recipe_passes(validator):
    validator.validate(WHOLE)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("title",), 3),
        (("speed",), "high"),
        (("seed",), -1),
        (("dataset", "use"), "digit"),
        (("dataset", "contamination"), 1.0),
        (("dataset", "weight"), 1.0),
        (("backbone", "images"), 0),
        (("backbone", "imags"), 10),
        (("encoder-losses",), [{"weight": 1.0}]),
        (("scores",), []),
        (("scores", 0, "use"), "di"),
        (("scores", 1, "terms", 0, "mode"), "loud"),
        (("scores", 1, "name"), 3),
        (("threshold",), {"false_alarms": 2}),
        (("scores", 1, "combine"), "mean"),
    ],
)
def test_a_wrong_recipe_does_not(validator, path, value):
    assert not validator.is_valid(changed(path, value))


def test_the_recipes_of_the_repository_pass(validator, repository):
    recipes = sorted((repository / "recipes").glob("*.toml"))
    assert recipes
    for path in recipes:
        errors = list(validator.iter_errors(tomllib.loads(path.read_text())))
        assert not errors, path


def test_every_reference_leads_to_a_definition(validator):
    schema = validator.schema

    def references(part):
        if isinstance(part, dict):
            for key, value in part.items():
                if key == "$ref":
                    yield value
                yield from references(value)
        elif isinstance(part, list):
            for value in part:
                yield from references(value)

    found = set(references(schema))
    assert found
    assert {name.removeprefix("#/$defs/") for name in found} <= set(schema["$defs"])


def test_options_bring_their_descriptions_to_the_editor(validator):
    (images,) = [
        table["properties"]["images"]
        for name, table in validator.schema["$defs"].items()
        if name == "backbone.anokit-pgan.pgan"
    ]
    assert images["description"]


def test_the_command_prints_it(anokit):
    done = anokit("schema")
    assert done.code == 0
    assert json.loads(done.out)["title"] == "anokit recipe"
