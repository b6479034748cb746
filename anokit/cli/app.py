"""The command line. Each command imports what it needs when it is called."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import shutil
import sys
import traceback
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from anokit.cli.authors import (
    check_plugin_command,
    describe_command,
    list_plugins_command,
    new_plugin_command,
    schema_command,
)
from anokit.cli.comparing import compare_command, figures_command, table_command
from anokit.cli.explaining import explain_command
from anokit.cli.finished import (
    add_scores_command,
    report_command,
    score_command,
    suspects_command,
)
from anokit.cli.libraries import say_in_sentences
from anokit.cli.options import PluginFiles, debugging
from anokit.cli.recipes import copy_recipe_command, recipes_command, show_recipe_command
from anokit.cli.running import LATEST, check_command, run_command
from anokit.cli.scanning import scan_command
from anokit.cli.sweeping import HERE, sweep_command
from anokit.cli.trying import try_command
from anokit.errors import AnokitError
from anokit.store.files import refused
from anokit.version import __version__


class _InOrder(TyperGroup):
    """Lists commands as `COMMANDS` does; left alone, groups come last."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands."""
        return [name for name in COMMANDS if name in self.commands]


class _Command(TyperCommand):
    """Takes no option for the value of the option before it, as the parser alone would."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; raise `typer.BadParameter` where an option's value is missing."""
        parameters = self.get_params(ctx)
        options = {name: one for one in parameters for name in (*one.opts, *one.secondary_opts)}
        for name, value in pairwise(args[: args.index("--")] if "--" in args else args):
            option: Any = options.get(name)
            takes = option is not None and option.param_type_name == "option"
            if takes and not option.is_flag and value in options and value.startswith("-"):
                raise typer.BadParameter(f"expected a value, got the option {value}", ctx, option)
        return list(super().parse_args(ctx, args))


app = typer.Typer(
    name="anokit",
    help="Find anomalous images when nobody has labelled the training set.",
    cls=_InOrder,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # in which [quick] is text
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"anokit {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Find anomalous images when nobody has labelled the training set."""


def docs_command(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 if a page is out of date.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Folder of the pages.")] = Path("docs"),
    plugin: PluginFiles = None,
) -> None:
    """Write the pages on components, commands, the public API and systems.

    In a uv workspace they describe its own plugins, elsewhere all that are installed.
    """
    from anokit.authoring import docs

    pages = docs.pages(docs.described(out, plugin or []), COMMANDS, out)
    if not check:
        for path in docs.write(pages, out):
            print(path)
        return
    stale = docs.stale(pages, out)
    for path in stale:
        print(f"{path}: out of date; write it anew with: anokit docs")
    if stale:
        raise typer.Exit(1)


COMMANDS: dict[str, Callable[..., None]] = {
    "scan": scan_command,
    "run": run_command,
    "recipes": recipes_command,
    "recipes show": show_recipe_command,
    "recipes copy": copy_recipe_command,
    "score": score_command,
    "suspects": suspects_command,
    "try": try_command,
    "add-scores": add_scores_command,
    "explain": explain_command,
    "sweep": sweep_command,
    "compare": compare_command,
    "table": table_command,
    "figures": figures_command,
    "check": check_command,
    "list-plugins": list_plugins_command,
    "describe": describe_command,
    "report": report_command,
    "new-plugin": new_plugin_command,
    "check-plugin": check_plugin_command,
    "docs": docs_command,
    "schema": schema_command,
}
"""Every command, in the order of ``anokit --help``; two words are a command of a group."""

GROUPS = {name.split()[0]: typer.Typer() for name in COMMANDS if " " in name}

for name, function in COMMANDS.items():
    first, _, second = name.partition(" ")
    if second:
        GROUPS[first].command(second, cls=_Command)(function)
    elif first in GROUPS:
        GROUPS[first].callback(invoke_without_command=True)(function)
        app.add_typer(GROUPS[first], name=first)
    else:
        app.command(first, cls=_Command)(function)


BARE = {"--resume": LATEST, "--ray": HERE}
"""Options whose value may be left out, and what that means."""

VALUES: dict[str, Callable[[str], Any]] = {
    "--resume": lambda text: not text.startswith("-") and not text.endswith(".toml"),
    "--ray": re.compile(r"auto|local|(\w+://)?[^/]*:\d+/?").fullmatch,
}
"""Whether what follows such an option is its value."""


def _with_bare_values(arguments: list[str]) -> list[str]:
    """Give bare options their value, which the parser cannot leave out."""
    result = []
    for place, argument in enumerate(arguments):
        result.append(argument)
        following = arguments[place + 1] if place + 1 < len(arguments) else "-"
        if argument in BARE and not VALUES[argument](following):
            result.append(BARE[argument])
    return result


def _show_error(error: AnokitError) -> None:
    from anokit.registry.blame import PluginFault

    print(f"{'' if error.exit_code == 130 else 'error: '}{error}", file=sys.stderr)
    if isinstance(error, PluginFault) and error.__cause__ is not None:
        print("".join(traceback.format_exception(error.__cause__)), file=sys.stderr, end="")
    elif debugging():
        traceback.print_exc()


INTERRUPTED = 130
"""The exit code after Ctrl-C."""

LOST = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What the system says where what is printed cannot be written. It names no file then."""


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def _let_output_go(error: OSError) -> None:
    """Print nothing more where it cannot be written, lest the interpreter complain at its end."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if error.errno != errno.EPIPE:  # whose reader (head, less) left
        with contextlib.suppress(OSError):
            print(f"error: what is printed cannot be written: {error.strerror}", file=sys.stderr)
    with contextlib.suppress(OSError):
        _flush()


def _carry_out(arguments: list[str]) -> int:
    """Carry out a command and return the exit code."""
    try:
        code: Any = app(_with_bare_values(arguments), standalone_mode=False)
    except AnokitError as error:
        _show_error(error)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:
        shown = getattr(error, "show", None)  # the parser's own usage errors
        if shown is None:
            raise
        shown()
        return int(getattr(error, "exit_code", 2))
    if code == INTERRUPTED:  # which is all that the parser leaves of Ctrl-C
        print("interrupted", file=sys.stderr)
    return code if isinstance(code, int) else 0


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong usage or recipe, 130 interrupted."""
    # Threads that wait should sleep, not spin: where another process wants a core too, spinning
    # slowed training of small networks tenfold. Read when torch is first imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # in ASCII or a code page: escapes, no traceback
            stream.reconfigure(errors="backslashreplace")
    if not debugging():
        say_in_sentences()
    if os.environ.get("NO_COLOR"):  # rich would still send bold, and move the cursor
        os.environ["COLUMNS"] = str(shutil.get_terminal_size().columns)
        os.environ["TERM"] = "dumb"
    try:
        code = _carry_out(sys.argv[1:] if arguments is None else arguments)
        _flush()
    except OSError as error:
        told = refused(error)
        if told is not None:
            _show_error(told)
            sys.exit(told.exit_code)
        if error.errno not in LOST or error.filename is not None or debugging():
            raise
        _let_output_go(error)
        code = 1
    sys.exit(code)


if __name__ == "__main__":
    main()
