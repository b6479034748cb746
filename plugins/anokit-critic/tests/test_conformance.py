import anokit_critic.plugin
from anokit.testing import parametrize_checks


@parametrize_checks(anokit_critic.plugin)
def test_conformance(check):
    check()
