"""A worker of this benchmark: one side in a process of its own; see ``benchmarks.core.worker``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any

from benchmarks.core.worker import serve

SIDES = {
    "trace_bridge": "ours",
    "trace-opt": "trace_opt",
    "textgrad": "textgrad",
    "gepa": "gepa",
}


def side_named(name: str) -> Any:
    """A side, whose library is imported now."""
    return importlib.import_module(f"benchmarks.robustness.{SIDES[name]}").Side()


def run(side: Any, case: str, arguments: Mapping[str, Any]) -> Mapping[str, object]:
    """Run one case: the method of that name.

    Raises:
        AttributeError: for a case that there is not.
    """
    return getattr(side, case)(**arguments)


if __name__ == "__main__":
    serve(lambda: side_named(sys.argv[1]), run)
