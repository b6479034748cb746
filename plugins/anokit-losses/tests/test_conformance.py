import anokit_losses.plugin
from anokit.testing import parametrize_checks


@parametrize_checks(anokit_losses.plugin)
def test_conformance(check):
    check()
