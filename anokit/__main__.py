"""``python -m anokit``."""

from anokit.cli import main

main()
