"""A warm process that forks one attempt per line, killed at its N-th file operation.

It reads lines of JSON (``arguments``, ``folder``, ``kill_at``, ``log``), answers each with another:
``code``, None where the attempt was killed, and ``operations``, how many it came to.
"""

import json
import os
import signal
import sys
from pathlib import Path

WRITES = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "shutil.rmtree")


def plain_report(run, results=None):
    """Stand for the report, whose drawing takes longer than all else."""
    from anokit.report.reading import read_run
    from anokit.store.files import write_text

    found = read_run(Path(run), results)
    write_text(Path(run) / "report.html", found.results.model_dump_json())
    return Path(run) / "report.html"


def watch(folder, kill_at, tell):
    """Kill this process just before its ``kill_at``-th change of a file below ``folder``."""
    count = 0

    def hook(event, values):
        nonlocal count
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
        if count == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def attempt(line, tell):
    """Carry out one command in a process of its own; return how it ended."""
    os.ftruncate(tell, 0)
    child = os.fork()
    if not child:
        from anokit.cli.app import main

        output = os.open(line["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        watch(line["folder"], line["kill_at"], tell)
        try:
            main(line["arguments"])
        except SystemExit as done:
            sys.stdout.flush()
            os._exit(done.code or 0)
        os._exit(99)
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status)
    count = int(os.pread(tell, 20, 0) or 0)
    return {"code": None if killed else os.WEXITSTATUS(status), "operations": count}


def serve(counter):
    """Answer lines until there are no more."""
    import torch

    import anokit.runs.add_scores as adding
    import anokit.runs.explain as explaining
    import anokit.runs.run as running
    import anokit.runs.score_files  # noqa: F401
    import anokit.runs.scoring as scoring

    torch.set_num_threads(1)
    running.write_report = scoring.write_report = adding.write_report = explaining.write_report = (
        plain_report
    )
    tell = os.open(counter, os.O_RDWR | os.O_CREAT)
    for line in sys.stdin:
        print(json.dumps(attempt(json.loads(line), tell)), flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
