"""``anokit new-plugin``: a small, complete, publishable package to start a plugin from."""

from anokit.authoring.scaffold.names import Names, names_for
from anokit.authoring.scaffold.writer import write_plugin

__all__ = ["Names", "names_for", "write_plugin"]
