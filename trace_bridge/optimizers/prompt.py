"""What optimizers show a model: runs as one program, and how earlier candidates did."""

from __future__ import annotations

from collections.abc import Sequence

from trace_bridge.graph import Subgraph, canonical
from trace_bridge.graph.program import Program, fitted, shortened
from trace_bridge.optimizers.base import Trial

_VALUE = 500  # characters of an earlier value
_SAYING = 200  # characters of what was said of an earlier candidate
_SAYINGS = 3  # of those that were said of it
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
    """A line for each of ``trials``, in at most ``room`` characters.

    With its values, its score and the worst that was said of it; what was said of the present
    values is shown with the runs.
    """
    names = {parameter.name for parameter in program.parameters}
    now = {parameter.name: canonical(parameter.peek()) for parameter in program.parameters}
    lines: list[str] = []
    for trial in trials:
        values = {name: value for name, value in trial.state.items() if name in names}
        shown = [f"{name} = {shortened(str(v), _VALUE)!r}" for name, v in values.items()]
        present = all(canonical(value) == now[name] for name, value in values.items())
        said = [] if present else _said(trial)
        lines.append(f"{_score(trial)}: {'; '.join([*shown, *said])}")
    return fitted(lines, room - len("\n\n# tried before\n"))


def _score(trial: Trial) -> str:
    """The score on validation rows, or else the one that kept a candidate from being run there."""
    if trial.score is not None:
        return f"score {trial.score:.3g}"
    scores = [said.score for said in trial.feedback if said.score is not None]
    return f"score {sum(scores) / len(scores):.3g} on a few examples" if scores else "no score"


def _said(trial: Trial) -> list[str]:
    worst = sorted(trial.feedback, key=lambda said: said.score or 0.0)
    texts = dict.fromkeys(said.text for said in worst if said.text)
    return [f"said of it: {shortened(text, _SAYING)!r}" for text in list(texts)[:_SAYINGS]]
