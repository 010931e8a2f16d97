"""The live view of a run, and its summary, on a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

from trace_bridge.llm.base import Usage
from trace_bridge.training.records import Progress, RunRecord

if TYPE_CHECKING:
    from rich.status import Status


class LiveView:
    """Shows progress: one live line on a terminal, plain lines elsewhere (notes only).

    Args:
        stream: where to write; standard error, so that a program's output stays its own.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self._status: Status | None = None

    def __call__(self, progress: Progress) -> None:
        """Show where the run is."""
        if not self.stream.isatty():
            if progress.note:
                self.stream.write(f"{_counts(progress)}  {progress.note}\n")
                self.stream.flush()
            return
        from rich.text import Text

        if self._status is None:
            from rich.console import Console

            self._status = Console(file=self.stream, highlight=False).status("")
            self._status.start()
        if progress.note:
            self._status.console.print(f"{_counts(progress)}  {progress.note}", markup=False)
        best = "" if progress.best is None else f", validation {progress.best:.3f}"
        # as Text, or what looks like rich's markup would be taken for it
        self._status.update(Text(f"{_counts(progress)}  {progress.stage}{best}"))

    def close(self) -> None:
        """Take the live line away."""
        if self._status is not None:
            self._status.stop()
            self._status = None


def _counts(progress: Progress) -> str:
    reused = f" ({progress.reused} reused)" if progress.reused else ""
    return f"[{progress.evaluations}/{progress.total} evaluations{reused}, {progress.calls} calls]"


def _dollars(usage: Usage) -> str:
    """What is known of the price."""
    if not usage.priced or (usage.unpriced and not usage.dollars):
        return ""
    if usage.unpriced:
        return f"at least ${usage.dollars:.4f} (of {usage.unpriced} calls the price is unknown), "
    return f"${usage.dollars:.4f}, "


def summary(run: RunRecord) -> str:
    """A run in a few lines: verdict, scores, cost."""
    tried = len(run.trials) - 1
    lines = [str(run.verdict)]
    lines += [
        f"baseline {b.name}: {b.score:.3f} on the same {len(b.scores)} examples"
        for b in run.baselines
    ]
    lines.append(
        f"search: {tried} candidates tried; ended because {run.stopped or 'it was complete'}"
    )
    cached = f" ({run.usage.cached} from a cache)" if run.usage.cached else ""
    lines.append(
        f"cost: {run.evaluations} evaluations, {run.usage.calls} model calls{cached},"
        f" {run.usage.tokens} tokens, {_dollars(run.usage)}{run.usage.seconds:.0f} s of waiting for"
        " models"
    )
    lines.append(
        f"this session: {run.reused} evaluations reused from the journal,"
        f" {run.session.calls} model calls made, {run.seconds:.0f} s"
    )
    lines += [f"warning: {warning}" for warning in run.warnings]
    return "\n".join(lines)
