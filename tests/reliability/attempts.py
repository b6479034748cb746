"""One command in this process, which meets a fault at its N-th file operation.

Its argument is JSON (``arguments``, ``folder``, ``fault``, ``at``, ``counter``); the file
``counter`` takes how many file operations it came to. Where there are ``limits``, it is killed
after so many seconds, and has so many bytes of memory.
"""

import errno
import json
import os
import resource
import shutil
import signal
import sys
import traceback
from pathlib import Path

REMOVALS = ("os.remove", "os.rmdir", "shutil.rmtree")
WRITES = ("os.rename", "os.link", "os.mkdir", "os.chmod", *REMOVALS)

REFUSALS = {
    "full": errno.ENOSPC,
    "read-only": errno.EROFS,
    "forbidden": errno.EACCES,
    "too long": errno.ENAMETOOLONG,
}
"""Faults by which the system refuses a file operation, and all that follow."""


def plain_report(run, results=None):
    """Stand for the report, whose drawing takes longer than all else."""
    from anokit.report.reading import read_run
    from anokit.store.files import write_text

    found = read_run(Path(run), results)
    write_text(Path(run) / "report.html", found.results.model_dump_json())
    return Path(run) / "report.html"


def die(event, values):
    """End as in a loss of power: what was being written is on the disk in part."""
    path = Path(os.fsdecode(values[0]))
    # What has a second name is not being written.
    if event == "os.rename" and path.is_file() and path.stat().st_nlink == 1:
        os.truncate(path, path.stat().st_size // 2)
    if event == "open" and values[2] & os.O_APPEND and path.exists():
        torn = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.write(torn, b'{"phase": "ha')
    os.kill(os.getpid(), signal.SIGKILL)


def watch(folder, fault, at, tell):
    """Have this process meet a fault just before its ``at``-th change of a file below a folder."""
    count = 0
    inside = False

    def hook(event, values):
        nonlocal count, inside
        if inside:
            return
        if event == "open":
            path, _, flags = values
            if not (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)):
                return
        elif event in WRITES:
            path = values[0]
        else:
            return
        if not isinstance(path, (str, os.PathLike)) or not os.fspath(path).startswith(folder):
            return
        count += 1
        os.pwrite(tell, str(count).encode(), 0)
        if not at or count < at:
            return
        inside = True
        if fault == "kill":
            die(event, values)
        elif fault == "gone" and count == at:
            shutil.rmtree(folder, ignore_errors=True)
        inside = False
        # What is removed as a whole is refused file by file.
        if event == "shutil.rmtree" or (fault == "full" and event in REMOVALS):
            return
        if fault in REFUSALS:
            number = REFUSALS[fault]
            raise OSError(number, os.strerror(number), os.fspath(path))

    sys.addaudithook(hook)


def attempt(wanted):
    """Carry out one command in this process."""
    import anokit.report.html as reporting
    import anokit.runs.add_scores as adding
    import anokit.runs.explain as explaining
    import anokit.runs.run as running
    import anokit.runs.scoring as scoring
    from anokit.cli.app import main

    for module in (running, scoring, adding, explaining, reporting):
        module.write_report = plain_report
    if "limits" in wanted:
        seconds, memory = wanted["limits"]
        signal.alarm(seconds)
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    tell = os.open(wanted["counter"], os.O_WRONLY)
    watch(wanted["folder"], wanted["fault"], wanted["at"], tell)
    try:
        main(wanted["arguments"])
    except Exception:
        traceback.print_exc()
        sys.exit(99)


if __name__ == "__main__":
    attempt(json.loads(sys.argv[1]))
