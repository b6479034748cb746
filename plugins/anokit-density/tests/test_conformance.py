import anokit_density.plugin
from anokit.testing import parametrize_checks


@parametrize_checks(anokit_density.plugin)
def test_conformance(check):
    check()
