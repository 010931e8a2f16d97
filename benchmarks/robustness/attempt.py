"""What became of one step of an optimizer: whether it raised, and what it said."""

from __future__ import annotations

import contextlib
import io
import logging
import random
import warnings
from collections.abc import Callable

OLD, NEW = "Answer in one line.", "Answer in a word."  # the text that a step begins with, and ends


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def attempted(step: Callable[[], object], logger: str = "") -> tuple[str, str]:
    """Run ``step``; gives the name of the exception that it raised, and what it warned of.

    That is what it printed, the warnings of Python, and those that it logged.
    """
    kept, printed, raised = _Kept(), io.StringIO(), ""
    log = logging.getLogger(logger or None)
    log.addHandler(kept)
    try:
        with warnings.catch_warnings(record=True) as warned, contextlib.redirect_stdout(printed):
            warnings.simplefilter("always")
            step()
    except Exception as error:  # noqa: BLE001 (whatever a library raises is what is asked)
        raised = type(error).__name__
    finally:
        log.removeHandler(kept)
    said = [printed.getvalue().strip(), *(str(item.message) for item in warned), *kept.lines]
    return raised, "\n".join(filter(None, said))


class OutageError(Exception):
    """The provider of the scripted model does not answer."""


class Scripted:
    """A model by rote: it fails a few times, then says the same to everybody, and counts.

    Attributes:
        calls: how often it was asked.
        longest: characters of the longest prompt.
    """

    def __init__(self, text: str, failures: int = 0) -> None:
        self.text = text
        self.failures = failures
        self.calls = 0
        self.longest = 0

    def answer(self, prompt: str) -> str:
        """Answer.

        Raises:
            OutageError: the first few times.
        """
        self.calls += 1
        self.longest = max(self.longest, len(prompt))
        if self.calls <= self.failures:
            msg = "no answer from the provider"
            raise OutageError(msg)
        return self.text


def coin(*of: object) -> float:
    """A score that is 0 or 1 by chance, and the same for the same arguments."""
    return float(random.Random("/".join(map(str, of))).random() < 0.5)


class Varied(Scripted):
    """Says something else each time: a text that is as good as any other."""

    def answer(self, prompt: str) -> str:
        """Answer."""
        return super().answer(prompt).format(self.calls)
