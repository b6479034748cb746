import anokit_geom.plugin
from anokit.testing import parametrize_checks


@parametrize_checks(anokit_geom.plugin)
def test_conformance(check):
    check()
