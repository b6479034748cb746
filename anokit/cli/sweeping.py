"""``anokit sweep``: whole experiments, with a live overview."""

from __future__ import annotations

import os
import shlex
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from anokit.cli.options import PluginFiles
from anokit.errors import Interrupted, UsageError

if TYPE_CHECKING:
    from anokit.cli.console import Console
    from anokit.recipe.sweeps import Cell, Sweep
    from anokit.runs.engines import Engine
    from anokit.runs.sweep_folder import CellState, Overview, SweepFolder

HERE = "local"
"""What ``--ray`` without an address means: a cluster on this machine alone."""


def sweep_command(
    sweep: Annotated[
        Path,
        typer.Argument(
            metavar="SWEEP", help="A sweep file; or the folder of a sweep, to go on with it."
        ),
    ],
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Lay the sweep's and every recipe's [quick] table over them."),
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Cells at a time, instead of as many as the cores allow."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show cells, hours, memory and disk, and stop.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="The sweep's folder, instead of sweeps/NAME.")
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(metavar="K/N", help="Carry out only every N-th cell, from the K-th on."),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray",
            metavar="[ADDRESS]",
            help="Hand the cells to a Ray cluster, or to one that is started here.",
        ),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify", help="Run nothing: stored weights must give the stored figures again."
        ),
    ] = False,
    bundle: Annotated[
        bool,
        typer.Option(
            "--bundle",
            help="Run nothing: pack the folder, with a model card, into FOLDER.zip, or --out.",
        ),
    ] = False,
    device: Annotated[
        list[str] | None,
        typer.Option(help="auto, cpu, cuda, cuda:N or mps; of several the cells take turns."),
    ] = None,
    plugin: PluginFiles = None,
    trust_plugins: Annotated[
        bool,
        typer.Option(
            "--trust-plugins",
            help="With --verify: execute the one-file plugins that runs keep, if as recorded.",
        ),
    ] = False,
) -> None:
    """Carry out whole experiments: recipes × values × seeds, each an ordinary run."""
    from anokit.cli.console import Console
    from anokit.recipe.sweeps import load_sweep
    from anokit.registry.lookup import Registry
    from anokit.runs.plugins_now import plugin_words
    from anokit.runs.sweep import shard_of
    from anokit.runs.sweep_folder import of_other_versions, open_folder

    if trust_plugins and not verify:
        raise UsageError("--trust-plugins: is for --verify; name files of your own with --plugin")
    if verify:
        _verify(Console(), sweep, (device or ["auto"])[0], plugin or [], trust_plugins)
    if bundle:
        from anokit.runs.bundle import bundle as pack

        Console().say(f"Packed, with a model card: {pack(sweep, out)}")
    if verify or bundle:
        return
    given, out, quick = _file_and_folder(sweep, out, quick)
    registry = Registry.load(plugin or [])
    loaded = load_sweep(given, registry, quick=quick)
    cells = shard_of(loaded.cells, shard)
    folder = open_folder(loaded, out)
    left = [cell for cell in cells if not folder.run(cell.name).finished]
    devices = device or ["auto"]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    places = jobs or max(1, (cores or 1) // (loaded.threads or 1))
    places = min(places, max(1, len(left)))
    threads = loaded.threads or max(1, (cores or 1) // places)
    console = Console()
    console.say(
        f"{loaded.title}: {len(loaded.cells)} cells, "
        + (f"{len(cells)} of them in shard {shard}, " if shard else "")
        + f"{len(cells) - len(left)} finished; {folder.path}"
    )
    for text in of_other_versions(loaded, folder, registry) if left else ():
        console.warning(text)
    if dry_run:
        _show_plan(console, loaded, folder, left, places, devices[0])
        return
    estimates: dict[str, float] = {}
    if left and ray is None:
        from anokit.runs.sweep_cost import check_room, sweep_cost

        cost = sweep_cost(left, devices[0], console, patience=0.0)
        check_room(cost, places, folder.path)
        estimates = cost.seconds
    engine = _engine(places, devices, ray, threads)
    words = ["anokit", "sweep", str(folder.path), *plugin_words(plugin)]
    given_too = [("--jobs", jobs), ("--shard", shard), ("--ray", ray)]
    given_too += [("--device", one) for one in device or []]
    words += [word for option, value in given_too if value for word in (option, str(value))]
    again = shlex.join(words)
    overview = _carry_out(loaded, folder, cells, engine, threads, estimates, console, again)
    _finish(console, overview, folder, again)


def _file_and_folder(given: Path, out: Path | None, quick: bool) -> tuple[Path, Path | None, bool]:
    """Return the sweep file, the folder and how the file is read, from one or the other."""
    if not given.is_dir():
        return given, out, quick
    if out is not None:
        raise UsageError(f"--out: {given} is a sweep's folder already; drop --out")
    if not (given / "sweep.toml").is_file():
        raise UsageError(
            f"{given}: has no sweep.toml; expected a sweep file, or a folder that `anokit sweep` "
            "left"
        )
    from anokit.runs.sweep_folder import SweepFolder

    folder = SweepFolder(given)
    return folder.file, given, folder.quick


def _engine(jobs: int, devices: list[str], ray: str | None, threads: int) -> Engine:
    from anokit.runs.engines import LocalEngine, RayEngine

    return LocalEngine(jobs, devices) if ray is None else RayEngine(ray, threads, devices[0])


def _carry_out(
    sweep: Sweep,
    folder: SweepFolder,
    cells: list[Cell],
    engine: Engine,
    threads: int,
    estimates: dict[str, float],
    console: Console,
    again: str,
) -> Overview:
    """Carry the cells out with a display; say which command goes on after an interrupt."""
    from anokit.cli.overview import Display
    from anokit.runs.sweep import run_sweep

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    display = Display(console)
    try:
        return run_sweep(
            sweep,
            folder,
            cells,
            engine,
            threads=threads,
            estimates=estimates,
            watcher=display,
        )
    except KeyboardInterrupt:
        display.close()
        raise Interrupted(f"interrupted: what was done is kept; go on with: {again}") from None
    finally:
        display.close()
        signal.signal(signal.SIGTERM, before)


def _verify(
    console: Console, given: Path, device: str, plugins: list[Path], trust_plugins: bool
) -> None:
    """Say of every finished run at or below a folder whether it gives its figures again."""
    from anokit.runs.gathering import find_paths
    from anokit.runs.verify import verify

    wrong = 0
    for path in find_paths([given]):
        found = verify(path, device=device, plugins=plugins, trust_plugins=trust_plugins)
        wrong += bool(found.problems)
        mark = "[red]differs[/red]" if found.problems else "[green]ok[/green]     "
        console.rich.print(f"{mark} {escape(f'{path}: {found.in_words}')}", soft_wrap=True)
    if wrong:
        raise typer.Exit(1)


def _show_plan(
    console: Console, sweep: Sweep, folder: SweepFolder, left: list[Cell], jobs: int, device: str
) -> None:
    from anokit.runs.sweep_cost import sweep_cost

    for state in map(folder.state, sweep.cells):
        if state.status != "finished":  # how many are was said
            console.say(f"  {state.cell.name}: {state.status}{_because(state)}")
    if left:
        console.say(sweep_cost(left, device, console).text(jobs))
    else:
        console.say("Nothing is left to run.")


def _because(state: CellState) -> str:
    return f": {state.reason}" if state.reason else ""


def _finish(console: Console, overview: Overview, folder: SweepFolder, again: str) -> None:
    """Say what became of all, and fail where a cell did."""
    failed = [state for state in overview.states if state.status == "failed"]
    for state in failed:
        console.warning(
            f"{state.cell.name} failed: {state.reason}; see {folder.log(state.cell.name)}"
        )
    done = overview.count("finished")
    console.say(f"{done} of {len(overview.states)} cells are finished. Runs: {folder.path}/cells")
    if done:
        from anokit.runs.sweep_report import write_sweep_report

        console.say(f"Report: {write_sweep_report(folder, overview)}")
        console.say(f"A table of them: anokit table {shlex.quote(str(folder.path))}")
    if failed:
        console.say(
            "Try the failed cells again, once what failed is mended (their recipes are read from "
            f"{folder.path / 'recipes'}): {again}"
        )
        raise typer.Exit(1)
