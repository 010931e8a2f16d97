"""Replay the peers' known defects on all sides, print the table, and fail if ours misses a row."""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.core.peers import OURS
from benchmarks.core.process import WorkerError, working
from benchmarks.core.table import summary
from benchmarks.robustness.rows import SIDES, TABLE, Ask, Line, Settings

LEGEND = """\
outcomes of a reply: meant (adopted as it was meant), told (kept the old value and said why), silent
(kept it without a word), lost (not adopted although meant well), GARBAGE (changed without a word to
what was not meant), or the exception that was raised. Replies whose mistake a side's form does not
know are left out. gepa: what it ran as a candidate; like our own loop it drops that afterwards
unless scores rise.
credit: proposals until nobody is at fault / model calls besides the agent's / innocent ones that
the first proposal rewrote. The scripted model mends the variable whose step was the first to write
the wrong word, and nothing if it is not shown that; "takes the first" mends the one that it is
shown first. In textgrad it is critic and updater, of one variable at a time. gepa takes turns
("all": with module_selector="all", one call for each component)."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.robustness", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few seeds")
    parser.add_argument("--rows", nargs="+", choices=TABLE, metavar="NAME", help=", ".join(TABLE))
    parser.add_argument("--each", action="store_true", help="show what became of each bad reply")
    chosen = parser.parse_args(arguments)
    drawn = {"seeds": 5, "chances": 4} if chosen.quick else {}
    settings = Settings(**drawn, each=chosen.each)
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-robustness-") as home,
        working(Path(home), *SIDES, module="benchmarks.robustness.worker") as workers,
    ):
        named = {worker.side: worker for worker in workers}

        def ask(side: str, case: str, **options: Any) -> Mapping[str, Any]:
            return named[side].ask(case, **options)

        groups = measured(ask, settings, chosen.rows or list(TABLE))
        versions = {n: v for worker in workers for n, v in worker.versions.items()}
    print(f"\n{LEGEND}")
    print(
        ", ".join(f"{name} {version}" for name, version in versions.items())
        + f"; Python {platform.python_version()}; seeds 0 to {settings.seeds - 1} of the credit,"
        f" 0 to {settings.chances - 1} of the chance; all models are scripted"
    )
    print(summary(groups))
    if not all(line.held for lines in groups.values() for line in lines):
        sys.exit(1)


def measured(ask: Ask, settings: Settings, names: Sequence[str]) -> dict[str, list[Line]]:
    """Measure and print these groups of rows; gives them by title."""
    groups: dict[str, list[Line]] = {}
    for name in names:
        title, rows = TABLE[name]
        made = groups[title] = []
        try:
            made.extend(rows(ask, settings))
        except WorkerError as error:
            made.append(Line(title, wrong=str(error)))
        print("\n".join(["", title, *table(made)]), flush=True)
    return groups


def table(lines: Sequence[Line]) -> list[str]:
    """Lines as text, below a line with what the columns are."""
    names = {side: "ours" if side == OURS else side for side in SIDES}
    rows = [("", *names.values(), "must", "", "")]
    for line in lines:
        tail = "; ".join(filter(None, (line.wrong, line.note)))
        cells = (line.cells.get(side, "") for side in SIDES)
        rows.append((line.what, *cells, line.must, line.verdict, tail))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


if __name__ == "__main__":
    main()
