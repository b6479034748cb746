import anokit_mlflow.plugin
from anokit.testing import parametrize_checks


@parametrize_checks(anokit_mlflow.plugin)
def test_conformance(check):
    check()
