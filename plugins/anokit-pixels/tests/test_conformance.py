import anokit_pixels.plugin
from anokit.testing import parametrize_checks


@parametrize_checks(anokit_pixels.plugin)
def test_conformance(check):
    check()
