import anokit_autoencoders.plugin
from anokit.testing import parametrize_checks


@parametrize_checks(anokit_autoencoders.plugin)
def test_conformance(check):
    check()
