"""A process that has imported what anokit imports, and forks each Python that is asked for.

`client.py` stands for the interpreter: it hands over its arguments, environment, folder and
standard streams, passes signals on and ends as the forked process does. What a Python reads when
it starts or when it imports is this process's own; where that would differ, the client is told to
start a real one.
"""

import atexit
import contextlib
import gc
import importlib
import io
import marshal
import os
import pkgutil
import runpy
import select
import signal
import socket
import sys
import tempfile
import threading
import traceback
import types
from pathlib import Path

READ_AT_START = (
    *("PYTHONHASHSEED", "PYTHONHOME", "PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONWARNINGS"),
    *("HOME", "LANG", "LANGUAGE", "LD_PRELOAD", "LD_LIBRARY_PATH"),
    *("MPLBACKEND", "MPLCONFIGDIR", "OMP_NUM_THREADS"),
)
"""Variables that are read when Python starts or imports, beside those of the locale (``LC_…``)."""


IMPORTED_LATE = ("matplotlib.backends.backend_agg", "sklearn.metrics", "torch._dynamo")
"""What the modules of anokit import only where it is used, also by way of torch's optimisers."""


def read_at_start(environment):
    """Return what is read of an environment before any command is."""
    locale = {name for name in environment if name.startswith("LC_")}
    found = {name: environment.get(name) for name in {*READ_AT_START, *locale}}
    found["UTF-8"] = environment.get("PYTHONUTF8", str(sys.flags.utf8_mode))
    found["MKL"] = environment.get("MKL_NUM_THREADS", environment.get("OMP_NUM_THREADS"))
    return found


def import_all():
    """Import all that a command imports; start no thread, which no fork would have."""
    import PIL.Image

    import anokit

    for found in pkgutil.walk_packages(anokit.__path__, "anokit."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
    for name in IMPORTED_LATE:
        importlib.import_module(name)
    PIL.Image.init()
    gc.collect()
    gc.freeze()


def receive(connection):
    """Return what a client wants and its three streams."""
    size, streams, *_ = socket.recv_fds(connection, 8, 3)
    size, text = int.from_bytes(size, "big"), b""
    while len(text) < size:
        text += connection.recv(size - len(text))
    return marshal.loads(text), streams


def keep(connection, child):
    """Pass on signals to a forked process, and at its end how it ended; end it with its client."""
    ended = os.pidfd_open(child)
    while ended not in select.select([connection, ended], [], [])[0]:
        wanted = connection.recv(1)
        if not wanted:
            os.kill(child, signal.SIGKILL)
            break
        os.kill(child, wanted[0])
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(OSError):
        connection.sendall(str(code).encode())
    os._exit(0)


def become(wanted, streams):
    """Be the process that a client stands for: its streams, its folder, its environment."""
    os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    encoding, _, errors = wanted["environment"].get("PYTHONIOENCODING", "").partition(":")
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        old, lines = getattr(sys, name), number == 2 or os.isatty(number)
        how = errors or ("strict" if encoding else old.errors)
        how = old.errors if name == "stderr" else how
        file = io.FileIO(number, "w" if number else "r", closefd=False)
        raw = io.BufferedWriter(file) if number else io.BufferedReader(file)
        new = io.TextIOWrapper(raw, encoding or old.encoding, how, line_buffering=lines)
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)
    for number in wanted["ignored"]:
        signal.signal(number, signal.SIG_IGN)
    os.environ.clear()
    os.environ.update(wanted["environment"])
    os.chdir(wanted["folder"])
    os.umask(wanted["umask"])
    tempfile.tempdir = None
    sys.executable = wanted["executable"]  # so that what it starts is forked as well


def execute(arguments):
    """Do what Python does with its arguments."""
    first, *rest = arguments
    if first == "-m":
        sys.argv, sys.path[0] = rest, str(Path.cwd())
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        sys.argv, sys.path[0] = ["-c", *rest[1:]], ""
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(rest[0], "<string>", "exec"), vars(main))
    else:
        sys.argv, sys.path[0] = arguments, str(Path(first).resolve().parent)
        runpy.run_path(first, run_name="__main__")


def carry_out(arguments):
    """Execute, and end as Python does but for taking apart all that was imported: a second."""
    try:
        execute(arguments)
        code = 0
    except SystemExit as done:
        code = done.code or 0
        if not isinstance(code, int):
            print(code, file=sys.stderr)
            code = 1
    except KeyboardInterrupt:
        traceback.print_exc()
        code = 130
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except OSError as error:
        print(f"Exception ignored in: {sys.stdout!r}\n{error!r}", file=sys.stderr)
        code = 120
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    os._exit(code & 255)


def serve(listener):
    """Fork a process for every client, until standard input ends; return in each such process."""
    own = read_at_start(os.environ)
    while sys.stdin.fileno() not in (ready := select.select([listener, 0], [], [])[0]):
        assert ready == [listener]
        connection, _ = listener.accept()
        wanted, streams = receive(connection)
        if read_at_start(wanted["environment"]) != own:
            connection.sendall(b"cold")
        elif not os.fork():
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            child = os.fork()
            if not child:
                connection.close()
                become(wanted, streams)
                return wanted["arguments"]
            for stream in streams:
                os.close(stream)
            keep(connection, child)
        connection.close()
        for stream in streams:
            os.close(stream)
    return None


if __name__ == "__main__":
    import_all()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever keeps a process is waited for by nobody
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(sys.argv[1])
        door.listen()
        print("ready", flush=True)
        todo = serve(door)
    if todo:
        carry_out(todo)
    os._exit(0)
