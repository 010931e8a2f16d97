"""BIG-Bench Hard with recorded answers: rows, split, metric, and a model that plays them back.

The recordings are those of code-davinci-002 that the public repository suzgunmirac/BIG-Bench-Hard
(MIT licence) holds, direct and with a chain of thought; both were made with three examples in the
prompt, so figures cannot be compared with those of papers without.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dspy.utils.dummies import DummyLM

DEFAULT = Path("../shared/data/bbh")
TRAIN, VALIDATION = 15, 5  # the first rows of a file, in order; the rest is held out
_REASONS = "step by step"  # what a prompt that asks for a chain of thought holds
_CHOICE = re.compile(r"\([A-Z]\)")

Row = dict[str, str]  # question, answer, direct, cot


class Task(NamedTuple):
    """The rows of one file, split."""

    name: str
    train: list[Row]
    validation: list[Row]
    held_out: list[Row]


def tasks(folder: Path, names: Sequence[str] = (), most: int | None = None) -> list[Task]:
    """The tasks in ``folder``: files of one JSON object per line, as they are or gzipped.

    Args:
        folder: where the files are.
        names: only these.
        most: held-out rows of each at most.

    Raises:
        FileNotFoundError: there is none; the message says where to get them.
    """
    files = sorted([*folder.glob("*.jsonl"), *folder.glob("*.jsonl.gz")])
    found = {path.name.partition(".")[0]: path for path in files}
    wanted = {name: found[name] for name in names if name in found} if names else found
    if not wanted:
        msg = (
            f"{folder} holds no rows{' of ' + ', '.join(names) if names else ''}: pass --data DIR"
            " with a file TASK.jsonl for each task, of one object per line with question, answer,"
            " direct and cot. Questions and recorded outputs are in the public, MIT-licensed"
            " repository suzgunmirac/BIG-Bench-Hard"
        )
        raise FileNotFoundError(msg)
    return [_task(name, path, most) for name, path in wanted.items()]


def _task(name: str, path: Path, most: int | None) -> Task:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file if line.strip()]
    rest = rows[TRAIN + VALIDATION :]
    return Task(name, rows[:TRAIN], rows[TRAIN : TRAIN + VALIDATION], rest[:most])


def right(target: str, prediction: object) -> bool:
    """The published metric: the last choice that is named, or else equality to the letter."""
    if _CHOICE.search(target):
        named = _CHOICE.findall(str(prediction))
        return bool(named) and named[-1] == target
    return prediction == target


def said(target: str, prediction: object) -> str:
    """The published feedback."""
    if right(target, prediction):
        return "The answer is correct! No need to change anything."
    return (
        f'The answer is wrong. We expect the output of your answer to be "{target}". Please modify'
        " the prompt and relevant parts of the program to help LLM produce the right answer."
    )


class FunctionLM(DummyLM):
    """A model for DSPy that answers by a function of the prompt's messages."""

    def __init__(self, function: Callable[[list[dict[str, str]]], str], model: str) -> None:
        super().__init__([], follow_examples=True)
        self.function = function
        self.model = model

    def _use_example(self, messages: list[dict[str, str]]) -> str:
        # what DummyLM asks for, in DSPy 3.0 to 3.4
        return self.function(messages)


def recorded_lm(rows: Iterable[Row]) -> FunctionLM:
    """Plays back what was recorded: the chain of thought if the prompt asks for one.

    The model raises LookupError for a question that was not recorded.
    """
    known = {row["question"].strip(): row for row in rows}

    def answer(messages: list[dict[str, Any]]) -> str:
        asked = messages[-1]["content"].rpartition("[[ ## question ## ]]\n")[2]
        question = asked.rpartition("\n\nRespond with")[0].strip()
        if question not in known:
            msg = f"no answer was recorded to {question!r}"
            raise LookupError(msg)
        thinks = any(_REASONS in message["content"] for message in messages)
        text = known[question]["cot" if thinks else "direct"]
        return f"[[ ## answer ## ]]\n{text}\n\n[[ ## completed ## ]]"

    return FunctionLM(answer, "recorded code-davinci-002")
