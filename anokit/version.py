"""The version of the core; a plugin's ``anokit>=…,<…`` is held against it."""

__version__ = "0.1.0"
"""Version of anokit.

Examples
--------
>>> import anokit
>>> anokit.__version__.count(".")
2
"""
