"""What optimizers show a model: runs as one program, and how earlier candidates did."""

from __future__ import annotations

from collections.abc import Sequence

from trace_bridge.graph import Subgraph
from trace_bridge.graph.program import Program, fitted, shortened
from trace_bridge.optimizers.base import Trial

_VALUE = 500  # characters of an earlier value
_REMEMBERED = 5  # earlier candidates get at most one part in so many of the budget


def prompt(
    program: Program, graphs: Sequence[Subgraph], trials: Sequence[Trial], budget: int
) -> str:
    """The program, its runs, and the scores of earlier candidates.

    Args:
        program: tells what may be changed.
        graphs: the runs.
        trials: earlier candidates, the best last.
        budget: characters for all of it; see ``Program.text`` for what is cut.
    """
    before = remembered(program, trials, budget // _REMEMBERED)
    before = before and f"\n\n# tried before\n{before}"
    return program.text(graphs, budget - len(before)) + before


def remembered(program: Program, trials: Sequence[Trial], room: int) -> str:
    """A line for each of ``trials``, in at most ``room`` characters."""
    names = {parameter.name for parameter in program.parameters}
    lines = [
        f"score {trial.score:.3g}: "
        + "; ".join(
            f"{name} = {shortened(str(value), _VALUE)!r}"
            for name, value in trial.state.items()
            if name in names
        )
        for trial in trials
    ]
    return fitted(lines, room - len("\n\n# tried before\n"))
