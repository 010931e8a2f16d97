"""The driver's end of a worker."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

from benchmarks.core.peers import interpreter, surroundings

PATIENCE = 300.0  # seconds of wall time until a worker that says nothing is given up


class WorkerError(RuntimeError):
    """A worker ended, or says nothing any more; the message has the end of what it printed."""


class Worker:
    """One side in a process of its own, which runs ``module``. The first request starts it."""

    def __init__(self, side: str, home: Path, module: str = "benchmarks.core.worker") -> None:
        self.side = side
        self.module = module
        self.versions: dict[str, str] = {}
        self._home = home
        self._process: subprocess.Popen[str] | None = None

    def ask(self, case: str, *, apart: bool = False, **arguments: object) -> dict[str, Any]:
        """Run a case with these arguments; ``apart`` in a process of its own.

        Raises:
            WorkerError: if the worker fails.
        """
        process = self.start()
        assert process.stdin is not None  # noqa: S101 (it is a pipe)
        with contextlib.suppress(BrokenPipeError):  # reading tells more
            print(json.dumps({"case": case, "apart": apart, **arguments}), file=process.stdin)
            process.stdin.flush()
        return self._answer(process)

    def start(self) -> subprocess.Popen[str]:
        """Start the process, if it does not run."""
        if self._process is None:
            self._home.mkdir(parents=True, exist_ok=True)
            with self._log.open("w", encoding="utf-8") as log:
                self._process = subprocess.Popen(
                    [interpreter(self.side), "-m", self.module, self.side],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                    cwd=self._home, env=dict(surroundings(self._home)),
                )  # fmt: skip
            self.versions = self._answer(self._process)
        return self._process

    @property
    def _log(self) -> Path:
        return self._home / "log.txt"

    def _answer(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        assert process.stdout is not None  # noqa: S101 (it is a pipe)
        ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
        line = process.stdout.readline() if ready else ""
        if not line:
            self.stop()
            said = self._log.read_text(encoding="utf-8").strip().splitlines()
            msg = f"{self.side}: {said[-1] if said else 'no answer'}"
            raise WorkerError(msg)
        return json.loads(line)

    def stop(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


@contextlib.contextmanager
def working(home: Path, *sides: str, module: str) -> Generator[tuple[Worker, ...]]:
    """Workers for these sides, which run ``module`` and end with the block."""
    workers = tuple(Worker(side, home / side, module) for side in sides)
    try:
        yield workers
    finally:
        for worker in workers:
            worker.stop()
