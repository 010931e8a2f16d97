"""Small deterministic tasks for optimizers: a help desk, and a scripted model that writes rules.

Every sort of ticket is answered by one kind of parameter. Replies need a rule in the prompt,
sorting by urgency two cut-offs, labels examples that are near and labelled rightly, and routing the
right model with the right switch. The scripted model can only write rules that it reads about.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import trace_bridge as tb
from trace_bridge.testing import ScriptedLLM

TOPICS = ("refunds", "delays", "logins", "invoices", "returns", "outages")
MODELS = ("ash", "birch", "cedar", "elm", "fir", "oak")
SORTS = ("reply", "sort", "label", "route")
PARTS = {
    "reply": ("rules",), "sort": ("early", "late"), "label": ("shown",),
    "route": ("model", "careful"),
}  # fmt: skip
_SPOTS = 7  # of labels
_WRONG = 0.3  # of the labelled examples


@dataclass(frozen=True, slots=True)
class Ticket:
    """What comes in. Only the fields of its sort mean anything.

    Attributes:
        luck: decides, with the model's skill, whether a routed ticket is answered.
    """

    sort: str
    topic: str
    urgency: float
    spot: float
    luck: float


@dataclass(frozen=True, slots=True)
class World:
    """What is right, drawn by seed."""

    cuts: tuple[float, float]
    best: tuple[str, bool]
    labels: Sequence[str]

    @classmethod
    def drawn(cls, seed: int) -> World:
        """A world."""
        draw = random.Random(f"world {seed}")
        labels = [draw.choice("pqrs") for _ in range(_SPOTS)]
        cuts = draw.uniform(2, 4.5), draw.uniform(6, 9)
        return cls(cuts, (draw.choice(MODELS), draw.random() < 0.5), labels)

    def tickets(self, sorts: Sequence[str], count: int, seed: str) -> list[Ticket]:
        """As many tickets of each sort, and of topics that are not equally frequent."""
        draw = random.Random(seed)
        weights = [1 / (1 + at) for at in range(len(TOPICS))]
        return [
            Ticket(
                sorts[at % len(sorts)], draw.choices(TOPICS, weights)[0], draw.uniform(0, 10),
                draw.uniform(0, _SPOTS), draw.random(),
            )
            for at in range(count)
        ]  # fmt: skip

    def label(self, spot: float) -> str:
        """The right label."""
        return self.labels[int(spot)]

    def examples(self, seed: int) -> list[dict[str, object]]:
        """Labelled examples, of which some are wrong."""
        draw = random.Random(f"examples {seed}")
        spots = [draw.uniform(0, _SPOTS) for _ in range(40)]
        wrong = ["?" if draw.random() < _WRONG else "" for _ in spots]
        return [
            {"spot": spot, "label": mark or self.label(spot)}
            for spot, mark in zip(spots, wrong, strict=True)
        ]

    def right(self, ticket: Ticket) -> str:
        """The right answer."""
        if ticket.sort == "sort":
            return _sorted_by(self.cuts, ticket.urgency)
        return self.label(ticket.spot) if ticket.sort == "label" else "answered"

    def skill(self, model: str, *, careful: bool) -> float:
        """The share of routed tickets that a model answers."""
        return 0.3 + 0.4 * (model == self.best[0]) + 0.25 * (careful is self.best[1])


def _sorted_by(cuts: Sequence[float], urgency: float) -> str:
    return ("later", "today", "now")[sum(urgency >= cut for cut in cuts)]


class Desk(tb.Module):
    """The agent; ``sorts`` says what is trained of it."""

    def __init__(self, world: World, sorts: Sequence[str], seed: int) -> None:
        self.world = world
        names = {name for sort in sorts for name in PARTS[sort]}
        examples = world.examples(seed)
        made = {
            "rules": tb.Parameter("Be polite.", description="how to reply"),
            "early": tb.Parameter(0.5, kind="number", bounds=(0.0, 10.0)),
            "late": tb.Parameter(9.5, kind="number", bounds=(0.0, 10.0)),
            "shown": tb.Parameter(examples[:1], kind="demos", choices=examples),
            "model": tb.Parameter(_other(world.best[0]), kind="choice", choices=MODELS),
            "careful": tb.Parameter(not world.best[1], kind="value"),
        }
        for name, parameter in made.items():
            setattr(self, name, parameter if name in names else parameter.base)

    def forward(self, ticket: Ticket) -> tb.Node:
        """Answer a ticket."""
        given = [getattr(self, name) for names in PARTS.values() for name in names]
        return serve(ticket, self.world, *given)


def _other(model: str) -> str:
    return MODELS[(MODELS.index(model) + 3) % len(MODELS)]


@tb.bundle
def serve(
    ticket: Ticket, world: World, rules: str, early: float, late: float,
    shown: Sequence[Mapping[str, object]], model: str, careful: bool,  # noqa: FBT001
) -> str:  # fmt: skip
    """Answer a ticket by the rules, cut-offs, examples or model that its sort needs."""
    if ticket.sort == "reply":
        return "answered" if f"rule for {ticket.topic}" in rules else "vague"
    if ticket.sort == "sort":
        return _sorted_by((early, late), ticket.urgency)
    if ticket.sort == "label":
        nearest = min(shown, key=lambda one: abs(float(str(one["spot"])) - ticket.spot))
        return str(nearest["label"])
    return "answered" if ticket.luck < world.skill(model, careful=careful) else "vague"


@dataclass(frozen=True, slots=True)
class Problem:
    """Tickets of some sorts for a desk of which some parts are trained.

    Attributes:
        sorts: of the tickets.
        trained: the sorts whose parameters are trained.
        evaluations: the budget.
    """

    name: str
    sorts: tuple[str, ...]
    trained: tuple[str, ...]
    evaluations: int = 400

    def quality(self, state: Mapping[str, object], seed: int, count: int = 600) -> float:
        """The share of new tickets that a candidate answers rightly."""
        world = World.drawn(seed)
        desk = Desk(world, self.trained, seed)
        module = {p.name: p for p in desk.parameters()}
        for path, value in state.items():
            module[path].set(value)
        tickets = world.tickets(self.sorts, count, f"new {seed}")
        return sum(desk(ticket).peek() == world.right(ticket) for ticket in tickets) / count

    def run(self, optimizer: str, seed: int) -> tuple[float, int]:
        """The quality that an optimizer reaches, and the evaluations that it takes for that."""
        world = World.drawn(seed)

        def metric(example: Mapping[str, Ticket], output: object) -> tuple[float, str]:
            ticket = example["ticket"]
            if output == world.right(ticket):
                return 1.0, ""
            return 0.0, f"there is no rule for {ticket.topic}" * (ticket.sort == "reply")

        sets = {
            name: [{"ticket": t} for t in world.tickets(self.sorts, 24, f"{name} {seed}")]
            for name in ("train", "validation", "test")
        }
        try:
            found = tb.optimize(
                Desk(world, self.trained, seed), sets["train"], metric, valset=sets["validation"],
                testset=sets["test"], optimizer=optimizer, llm=ScriptedLLM(write), progress=False,
                budget=tb.Budget(evaluations=self.evaluations),
                engine=tb.Engine(concurrency=1, seed=seed, journal=None, patience=8),
            ).record  # fmt: skip
        except ValueError as error:
            if "nothing to search" not in str(error):
                raise
            return self.quality({}, seed), 0
        return self.quality(found.found.state, seed), found.evaluations


SUITE = (
    *(Problem(sort, (sort,), (sort,)) for sort in SORTS),
    *(Problem(f"{sort}, all trained", (sort,), SORTS) for sort in SORTS),
)
JOINT = Problem("joint", ("reply", "sort", "label"), ("reply", "sort", "label"), 700)


# ------------------------------------------------------------------ the scripted model


_NOW = re.compile(
    r'<variable name="(?P<name>\w+)" kind="prompt">.*?<value>\n(?P<text>.*?)\n</value>', re.DOTALL
)
_GEPAS = "Provide the new instructions within ``` blocks."
_TEXTGRADS = "You criticise the inputs of one step"


def write(prompt: str) -> str | None:
    """Adds one rule, for the topic that is missed most in what the prompt says; else nothing."""
    missed = Counter(re.findall(r"there is no rule for (\w+)", prompt)).most_common()
    if _TEXTGRADS in prompt:
        asked = prompt.rpartition("# inputs that you are asked about\n")[2].split(", ")
        said = "; ".join(f"there is no rule for {topic}" for topic, _ in missed)
        return f'<variable name="rules">{said}</variable>' if missed and "rules" in asked else None
    fenced = re.search(r"```\n(?P<text>.*?)\n```", prompt, re.DOTALL)
    now = fenced if _GEPAS in prompt else _NOW.search(prompt)
    if now is None:
        return None
    known = now["text"] + prompt.partition("# proposed already")[2].partition("# examples")[0]
    rules = (f"The rule for {topic}: look it up." for topic, _ in missed)
    new = next((rule for rule in rules if rule not in known), None)
    if new is None:
        return None
    text = f"{now['text']} {new}"
    return (
        f"```\n{text}\n```"
        if now is fenced
        else f'<variable name="{now["name"]}">{text}</variable>'
    )
