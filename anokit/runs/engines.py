"""Where the cells of a sweep are carried out: in processes here, or on a Ray cluster."""

from __future__ import annotations

import dataclasses
import queue
import socket
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from anokit.errors import UsageError
from anokit.runs.cells import CellJob, Children, Outcome, carry_out


class Engine(Protocol):
    """Carries out cells, some at a time."""

    jobs: int
    """cells at a time"""

    def submit(self, job: CellJob) -> Future[Outcome]:
        """Have a cell carried out; the future raises only where the machinery itself fails."""

    def stop(self) -> None:
        """Ask what is at work to save and stop, and begin nothing else."""

    def close(self) -> None:
        """Wait until nothing is at work any more."""


class LocalEngine:
    """Processes on this machine, each on the device that is free."""

    def __init__(self, jobs: int, devices: list[str]) -> None:
        self.jobs = jobs
        self._children = Children()
        self._pool = ThreadPoolExecutor(jobs)
        self._free: queue.SimpleQueue[str] = queue.SimpleQueue()
        for number in range(jobs):
            self._free.put(devices[number % len(devices)])

    def submit(self, job: CellJob) -> Future[Outcome]:
        """Have a cell carried out once a place is free."""
        return self._pool.submit(self._carry_out, job)

    def _carry_out(self, job: CellJob) -> Outcome:
        device = self._free.get()
        try:
            return carry_out(dataclasses.replace(job, device=device), self._children)
        finally:
            self._free.put(device)

    def stop(self) -> None:
        """Send all an interrupt."""
        self._children.stop()

    def close(self) -> None:
        """Wait for all."""
        self._pool.shutdown(wait=True)


class RayEngine:
    """Tasks on a Ray cluster, whose machines see the sweep's folder under the same path.

    Where a worker is lost Ray starts its task again elsewhere, and the cell is gone on with from
    its last checkpoint.

    Parameters
    ----------
    address
        Of the cluster; "local" starts one on this machine.
    threads
        Cores that a cell takes.
    device
        Of the cells; a CUDA device takes one GPU for each cell.

    Raises
    ------
    UsageError
        Where Ray is not installed or there is no such cluster.
    """

    def __init__(self, address: str, threads: int, device: str) -> None:
        self._ray = import_ray()
        connect(self._ray, address)
        cores = int(self._ray.cluster_resources().get("CPU", 1))
        self.jobs = max(1, cores // threads)
        self._task = self._ray.remote(
            num_cpus=threads,
            num_gpus=1 if device.startswith("cuda") else 0,
            max_retries=RETRIES,
        )(carry_out)
        self._device = device
        self._running: list[Any] = []

    def submit(self, job: CellJob) -> Future[Outcome]:
        """Hand a cell to the cluster."""
        reference = self._task.remote(dataclasses.replace(job, device=self._device))
        self._running.append(reference)
        future: Future[Outcome] = reference.future()
        return future

    def stop(self) -> None:
        """Cancel all tasks; what was trained since the last checkpoint is lost."""
        for reference in self._running:
            self._ray.cancel(reference, force=True)

    def close(self) -> None:
        """Leave the cluster."""
        self._ray.shutdown()


RETRIES = 8
"""Times that a task is started again whose worker was lost."""

PATIENCE = 10.0
"""Seconds until a cluster must have answered."""


def import_ray() -> Any:
    """Return the module ``ray``; raise `UsageError` where it is not installed."""
    try:
        import ray
    except ImportError:
        raise UsageError(
            "--ray: Ray is not installed; install it with: pip install 'anokit[ray]'"
        ) from None
    return ray


def connect(ray: Any, address: str) -> None:
    """Join a Ray cluster, or start one here; raise `UsageError` where there is none."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        if port.isdecimal():  # Ray itself would try for minutes
            socket.create_connection((host.strip("[]"), int(port)), PATIENCE).close()
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (OSError, OverflowError, RuntimeError, ValueError) as error:
        raise UsageError(
            f"--ray {address}: no Ray cluster answers there: {str(error).splitlines()[0]}; start "
            "one with `ray start --head`, or name none to use this machine"
        ) from None
