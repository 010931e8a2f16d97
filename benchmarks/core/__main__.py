"""Measure the graph core beside its peers, print the table, and fail if something is missed."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.core.process import WorkerError
from benchmarks.core.rows import TABLE
from benchmarks.core.session import Session, Settings
from benchmarks.core.table import Row, heading, summary


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.core", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds, graphs to 10,000")
    parser.add_argument("--large", action="store_true", help="graphs to a million operations")
    parser.add_argument("--cap", type=float, help="CPU seconds for a growing case of a peer")
    parser.add_argument("--rows", nargs="+", choices=TABLE, metavar="NAME", help=", ".join(TABLE))
    chosen = parser.parse_args(arguments)
    settings = Settings()
    if chosen.quick:
        settings = Settings(rounds=5, patience=1, cap=1, largest=10_000)
    if chosen.large:
        settings = Settings(largest=1_000_000)
    if chosen.cap:
        settings = replace(settings, cap=chosen.cap)
    with tempfile.TemporaryDirectory(prefix="benchmark-core-") as home:
        session = Session(settings, Path(home))
        try:
            groups = measured(session, chosen.rows or list(TABLE))
        finally:
            session.stop()
    print(f"\n{summary(groups)}")
    if not all(row.held for rows in groups.values() for row in rows):
        sys.exit(1)


def measured(session: Session, names: Sequence[str]) -> dict[str, list[Row]]:
    """Measure and print these groups of rows; gives them by title."""
    print(
        f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores,"
        f" load {_load()}; CPU times, medians of alternated rounds; peer | ours in counts"
    )
    started, groups = time.monotonic(), dict[str, list[Row]]()
    for name in names:
        title, peer, rows = TABLE[name]
        print(heading(title, peer), flush=True)
        made = groups[title] = []
        try:
            for row in rows(session):
                made.append(row)
                print(row.line(), flush=True)
        except WorkerError as error:
            made.append(Row(title, wrong=str(error)))
            print(made[-1].line(), flush=True)
    versions = {n: v for worker in session.workers.values() for n, v in worker.versions.items()}
    print("\n" + ", ".join(f"{name} {version}" for name, version in versions.items()))
    print(f"{time.monotonic() - started:.0f} s, load {_load()}; all models are stubs")
    return groups


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    main()
