"""The task of the credit probe, the same for all sides: k writers, one of which uses a wrong pot.

It needs nothing but the standard library, since it runs in the environments of all sides. What a
pot holds shows in what was written with it, and nowhere else: no text of a variable, and no name,
says who is at fault.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

BATCH = 6  # runs that a proposal is made from
LETTER = "Dear Sir or Madam,"
GOOD, BAD = "blue", "teal"
_BAD_POTS = 7  # of so many pots one has the wrong ink
_POT = re.compile(r"pot (\d+)")
_SAID = re.compile(r"has (\w+) ink, and all of it is to have \w+ ink, as (pot \d+)")


@dataclass(frozen=True, slots=True)
class Plan:
    """One run: who writes, in order, and which of the parts before it each of them reads."""

    steps: tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class Step:
    """A step as a prompt shows it: the variable that it read, what else it read and wrote."""

    variable: str
    read: str
    wrote: str


class Office:
    """k writers of one kind with similar instructions, one of which names a pot of wrong ink.

    Names, their order and the fault's place are drawn by the seed. A run gives all its writers the
    letter, which they share, and each some of the parts that were written before.
    """

    def __init__(self, k: int, seed: int) -> None:
        self._generator = random.Random(f"{k}/{seed}")
        names = [f"writer_{letter}" for letter in "abcdefgh"[:k]]
        self._generator.shuffle(names)
        pots = list(range(10, 100))
        self._generator.shuffle(pots)
        good = iter([pot for pot in pots if ink(pot) == GOOD])
        self.guilty = self._generator.choice(names)
        self.spare = next(good)  # the pot that the feedback recommends
        bad = next(pot for pot in pots if ink(pot) == BAD)
        self.prompts = {
            name: f"Write your part of the letter with pot {bad if name == self.guilty else pot}."
            for name, pot in zip(names, good, strict=False)
        }

    def plans(self, number: int = BATCH) -> list[Plan]:
        """Runs in which each writer takes part half of the time, the guilty one in some of them."""
        while True:
            found = [self._plan() for _ in range(number)]
            if any(name == self.guilty for plan in found for name, _ in plan.steps):
                return found

    def _plan(self) -> Plan:
        draw, names = self._generator, list(self.prompts)
        used = [name for name in names if draw.random() < 0.5] or [draw.choice(names)]
        steps: list[tuple[str, tuple[int, ...]]] = []
        for at, name in enumerate(used):
            before = draw.sample(range(at), draw.randint(min(1, at), at))
            steps.append((name, tuple(before)))
        return Plan(tuple(steps))

    def feedback(self, text: str) -> tuple[float, str]:
        """The score of a letter, and what is to be said of it."""
        if f"{BAD} ink" not in text:
            return 1.0, "The letter is in order."
        told = f"has {BAD} ink, and all of it is to have {GOOD} ink, as pot {self.spare} gives."
        return 0.0, f"A part of the letter {told}"

    def mended(self, prompts: Mapping[str, str]) -> bool:
        """Whether nobody would use wrong ink."""
        return all(ink(pot_of(text)) == GOOD for text in prompts.values())

    def changed(self, prompts: Mapping[str, str]) -> tuple[bool, int]:
        """Whether the guilty one was mended, and how many others have other instructions now."""
        others = [
            name
            for name, text in prompts.items()
            if name != self.guilty and text != self.prompts[name]
        ]
        return ink(pot_of(prompts[self.guilty])) == GOOD, len(others)


def mended_by(
    office: Office, most: int, step: Callable[[Sequence[Plan]], Mapping[str, str]]
) -> dict[str, Any]:
    """Propose until nobody is at fault, at most so often.

    Args:
        office: the task.
        most: proposals.
        step: makes one from runs, and gives the instructions as they are then.

    Returns:
        Whether the first proposal was right, how many others it changed, and how many it took.
    """
    first: tuple[bool, int] | None = None
    for number in range(1, most + 1):
        now = step(office.plans())
        first = first or office.changed(now)
        if office.mended(now):
            return {"right": first[0], "others": first[1], "proposals": number}
    return {"right": False, "others": first[1] if first else 0, "proposals": None}


def ink(pot: int) -> str:
    """What a pot holds."""
    return GOOD if pot % _BAD_POTS else BAD


def pot_of(prompt: str) -> int:
    """The pot that an instruction names; the first, which holds wrong ink, if it names none."""
    found = _POT.search(prompt)
    return int(found[1]) if found else 0


def write(prompt: str, letter: str, *texts: str) -> str:
    """Write a part of the letter as the prompt says, below what there is."""
    number = len(" ".join([letter, *texts]))
    return "\n".join([*texts, f"Part {number} has {ink(pot_of(prompt))} ink."])


def write_all(*parts: str) -> str:
    """Put all parts into one letter."""
    return "\n".join(dict.fromkeys("\n".join(parts).splitlines()))


def written(plan: Plan, prompts: Mapping[str, str]) -> list[str]:
    """What each step of a run writes."""
    parts: list[str] = []
    for name, before in plan.steps:
        parts.append(write(prompts[name], LETTER, *(parts[at] for at in before)))
    return parts


# ------------------------------------------------------------------ the scripted models


def complaint(text: str) -> str:
    """What in ``text`` says that a letter is wrong, and how it should be; else nothing."""
    said = _SAID.search(text)
    return said[0] if said else ""


def reader(
    values: Mapping[str, str], steps: Iterable[Step], feedback: str, *, careful: bool
) -> dict[str, str]:
    """What a scripted model suggests for a variable, or nothing.

    Without feedback that names a wrong ink and a better pot it has nothing to say. The careful one
    looks for the first step that wrote of that ink and had not read of it; if no such step is
    shown, it has nothing to say either. The other one takes the first variable that is shown and
    does not name the better pot yet.

    Args:
        values: the variables that may be changed, in the order in which they are shown.
        steps: what is shown of the runs.
        feedback: what is shown of what was said.
        careful: whether it reads the steps.
    """
    said = _SAID.search(feedback)
    if said is None or not values:
        return {}
    wrong, better = f"{said[1]} ink", said[2]
    chosen = next((name for name, text in values.items() if better not in text), None)
    if careful:
        origins = (
            step.variable for step in steps if wrong in step.wrote and wrong not in step.read
        )
        chosen = next((name for name in origins if name in values), None)
    return {chosen: _POT.sub(better, values[chosen])} if chosen in values else {}


def mean(numbers: Sequence[float]) -> float:
    """The mean, and nothing of nothing."""
    return sum(numbers) / len(numbers) if numbers else float("nan")
