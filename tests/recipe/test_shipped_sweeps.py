"""The sweeps of the repository: every cell is a right recipe, every layout finds its figures."""

import itertools

import pytest

from anokit.recipe.sweeps import load_sweep
from anokit.registry.lookup import Registry


@pytest.fixture(scope="module")
def everything():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("ANOKIT_PLUGINS", raising=False)
        return Registry.load([])


NAMES = [
    "contamination_cifar",
    "norm_cue",
    "systems_cifar",
    "table1",
    "table1_cells",
    "table2_cifar",
    "table2_kth",
]


@pytest.fixture(params=NAMES)
def path(request, repository):
    return repository / "recipes" / "sweeps" / f"{request.param}.toml"


def test_all_sweeps_are_tested(repository):
    assert sorted(path.stem for path in (repository / "recipes" / "sweeps").iterdir()) == NAMES


@pytest.mark.parametrize("quick", [False, True])
def test_every_cell_is_right_and_has_its_share_of_seeds(path, everything, quick):
    sweep = load_sweep(path, everything, quick=quick)
    assert len({cell.name for cell in sweep.cells}) == len(sweep.cells)
    assert {cell.recipe.seed for cell in sweep.cells} == {1000, 1001, 1002}
    for cell in sweep.cells:
        # Rows of one table are of the same test images.
        assert cell.recipe.quick is quick
        assert cell.recipe.baselines


@pytest.mark.parametrize("quick", [False, True])
def test_layouts_name_scores_that_their_recipes_have(path, everything, quick):
    sweep = load_sweep(path, everything, quick=quick)
    if sweep.layout is None:
        return
    for row, column in itertools.product(sweep.layout.rows, sweep.layout.columns):
        score = row.score or column.score
        fitting = [
            cell.recipe
            for cell in sweep.cells
            if (row.recipes is None or cell.recipe.name in row.recipes)
            and row.variant in (None, cell.values.get("variant"))
            and column.contamination in (None, cell.recipe.dataset.keys.contamination)
        ]
        assert fitting, (row.name, column.name)
        for recipe in fitting:
            assert score in {one.name for one in (*recipe.scores, *recipe.baselines)}
