"""What stands for the interpreter where tests start one: asks the warm process beside it to fork.

Written with a first line that names the interpreter, so that it can be executed.
"""

import marshal
import os
import signal
import socket
import sys
from pathlib import Path

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def start_anew():
    """Be a real interpreter."""
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])


arguments = sys.argv[1:]
if arguments[:1] == ["-u"]:  # asks for streams that are not buffered, which no test looks at
    del arguments[0]
if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-m", "-c")):
    start_anew()
try:
    for number in range(3):
        os.fstat(number)
except OSError:  # a stream that is closed cannot be handed over
    start_anew()
umask = os.umask(0)
os.umask(umask)
wanted = marshal.dumps(
    {
        "arguments": arguments,
        "executable": __file__,
        "environment": dict(os.environ),
        "folder": str(Path.cwd()),
        "umask": umask,
        "ignored": [int(one) for one in FORWARDED if signal.getsignal(one) == signal.SIG_IGN],
    }
)
connection = socket.socket(socket.AF_UNIX)
connection.connect(str(Path(__file__).with_name("socket")))
for one in FORWARDED:
    if signal.getsignal(one) != signal.SIG_IGN:
        signal.signal(one, lambda number, _: connection.sendall(bytes([number])))
socket.send_fds(connection, [len(wanted).to_bytes(8, "big")], [0, 1, 2])
connection.sendall(wanted)
said = connection.recv(8)
if said == b"cold":
    start_anew()
code = int(said)
if code < 0:
    if -code in FORWARDED:
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
