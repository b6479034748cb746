import anokit_mlflow.plugin
from anokit.testing import parametrize_checks


def folder_of(folder):
    """Return options that write below a folder."""
    return {"uri": str(folder / "mlruns"), "experiment": "checks"}


@parametrize_checks(anokit_mlflow.plugin, samples={"mlflow": folder_of})
def test_conformance(check):
    check()
