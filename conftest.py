"""Settings of the whole test suite."""

import os

# Tests are small and run in as many processes as there are cores: more threads would only wait for
# each other. Read when torch is first imported, which is after this.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
