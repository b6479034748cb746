"""``python -m anokit``."""

from anokit.cli.app import main

main()
