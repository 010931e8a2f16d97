"""A worker: one side in a process of its own, which runs the cases that it is told to.

Requests come in as JSON lines: the name of a case, its arguments, and with ``own`` the wish that
it runs in a process of its own (a fork of this one, so that nothing is imported again).
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import pickle
import signal
import sys
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.core import calls, graphs, texts
from benchmarks.core.clock import confine
from benchmarks.core.sides import SIDES

Answer = Mapping[str, object]
Runs = Callable[[Any, str, Mapping[str, Any]], Answer]

_TIMED: dict[str, Callable[..., calls.Found]] = {
    "add": calls.add,
    "asked": texts.asked,
    "below": calls.below,
    "bundled": calls.bundled,
    "bundled_inside": calls.bundled_inside,
    "bundled_plain": calls.bundled_plain,
    "formatted": calls.formatted,
    "item": calls.item,
    "leaf": texts.leaf,
    "plus": texts.plus,
    "trainable": calls.trainable,
}
_COUNTED: dict[str, Callable[..., Answer]] = {
    "backward": graphs.backward,
    "deep": graphs.deep,
    "depth": texts.depth,
    "held": calls.held,
    "threads": graphs.threads,
    "training": graphs.training,
}
# What a library raises where its own limits are; anything else is an error of the benchmark.
_LIMITS = (RecursionError, MemoryError, pickle.PicklingError)


def run(side: Any, case: str, arguments: Mapping[str, Any]) -> Answer:
    """Run one case.

    Raises:
        KeyError: for a case that there is not.
    """
    side.forget()
    gc.collect()
    try:
        if case in _TIMED:
            seconds, output = _TIMED[case](side, **arguments)
            return {"seconds": seconds, "parents": len(side.parents(output))}
        return _COUNTED[case](side, **arguments)
    except _LIMITS as error:
        return {"stopped": type(error).__name__}


def run_apart(side: Any, case: str, arguments: Mapping[str, Any], runs: Runs = run) -> Answer:
    """Run one case in a process of its own, which may be ended by its limits."""
    forking = multiprocessing.get_context("fork")
    mine, theirs = forking.Pipe(duplex=False)
    child = forking.Process(target=_child, args=(theirs, side, case, arguments, runs))
    child.start()
    theirs.close()
    try:
        answer: Answer = mine.recv()
    except EOFError:  # it was ended before it could answer
        answer = {}
    child.join()
    if answer:
        return answer
    capped = child.exitcode == -signal.SIGXCPU
    return {"stopped": "CPU" if capped else f"an error (exit code {child.exitcode})"}


def _child(
    answers: Connection, side: Any, case: str, arguments: Mapping[str, Any], runs: Runs
) -> None:
    confine()
    answers.send(runs(side, case, arguments))


def serve(make: Callable[[], Any], runs: Runs = run) -> None:
    """Serve until there are no more requests: each is run by ``runs`` on the side that is made."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no answer
    side = make()
    gc.collect()
    gc.freeze()  # what libraries load is no garbage, and not to be searched in each round
    print(json.dumps(side.versions), file=answers, flush=True)
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        apart = request.pop("apart", False)
        case = request.pop("case")
        found = run_apart(side, case, request, runs) if apart else runs(side, case, request)
        print(json.dumps(found), file=answers, flush=True)


if __name__ == "__main__":
    serve(SIDES[sys.argv[1]])
