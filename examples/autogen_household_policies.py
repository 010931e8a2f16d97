"""How people look for things: what one does next, by all that they know and by their habits.

A policy reads nothing but the text that ``World.view`` gives. The yardsticks are people with fixed
habits, and a bound for those who would know everything.
"""

import itertools
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from examples.autogen_household_world import PEOPLE, ROOM_OF, TASKS, World, doors

Policy = Callable[[str], str]  # from a view to what is done, such as "open fridge"
HALVES = {"alice": ("kitchen", "livingroom"), "bob": ("bedroom", "bathroom")}


@dataclass(frozen=True)
class Habits:
    """How somebody searches, beyond what goes without saying.

    Attributes:
        rooms: where to search first; without, in the nearest.
        order: all furniture in the order in which to search it; without, the nearest first.
        places: the furniture in which a thing can be, where that is known.
        tells: whether to tell the other what one finds and cannot carry.
    """

    rooms: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    places: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    tells: bool = False


class Sight:
    """What a view says."""

    def __init__(self, view: str) -> None:
        goal = found(r"^Goal: (.*)$", view)
        task = next(task for task in TASKS.values() if task.words == goal)
        self.things, self.target = task.things, task.target
        self.room, self.at = found(r"^You are in the (\w+)", view), found(r", at the (\w+)\.", view)
        self.held = found(r"^You carry: (\w+)\.$", view).replace("nothing", "")
        self.alone = " is here too." not in view
        self.seen = {f: w for f, w in re.findall(r"(\w+) \(([^)]*)\)", view) if w != "closed"}
        self.said = " ".join(re.findall(r"^\w+ said: (.*)$", view, re.MULTILINE)).split()
        heard = " ".join(re.findall(r"^(?!You)\w+ said: (.*)$", view, re.MULTILINE))
        has = re.findall(r"^\w+ has the (\w+)\.$", view, re.MULTILINE)
        has += re.findall(r"\bI have the (\w+)", heard)
        there = self.seen.get(self.target, "").split(", ")
        self.missing = [t for t in self.things if t not in (self.held, *has, *there)]
        told = dict(re.findall(r"\bThe (\w+) is in the (\w+)", heard))
        self.lying = {t: f for t, f in told.items() if t in self.missing and f not in self.seen}
        for furniture, things in self.seen.items():
            self.lying |= {t: furniture for t in self.missing if t in things.split(", ")}


def found(pattern: str, text: str) -> str:
    """The first group of a pattern that has to be there."""
    match = re.search(pattern, text, re.MULTILINE)
    if match is None:
        raise ValueError(f"no view of a household, without {pattern!r}: {text!r}")
    return match[1]


def decide(view: str, habits: Habits) -> str:
    """What somebody with such habits does next."""
    sight = Sight(view)
    if news := habits.tells and _news(sight):
        return f"say {news}"
    if sight.held:
        return _reach(sight, sight.target) or f"put {sight.held}"
    for thing in sight.missing:
        if thing in sight.lying:
            return _reach(sight, sight.lying[thing]) or f"take {thing}"
    closed = [f for f in ROOM_OF if f not in sight.seen]
    likely = {f for thing in sight.missing for f in habits.places.get(thing, closed)}
    to_open = [f for f in closed if f in likely] or (closed if sight.missing else [])
    if not to_open:
        return "wait"

    def rank(furniture: str) -> tuple[int, ...]:
        room = ROOM_OF[furniture]
        nearest = (doors(sight.room, room), furniture != sight.at)
        later = bool(habits.rooms) and room not in habits.rooms
        return (later, *([habits.order.index(furniture)] if habits.order else nearest))

    goal = min(to_open, key=rank)
    return _reach(sight, goal) or f"open {goal}"


def _reach(sight: Sight, furniture: str) -> str:
    """The next step on the way to some furniture, "" if there."""
    if sight.room != ROOM_OF[furniture]:
        return f"goto {ROOM_OF[furniture]}"
    return "" if sight.at == furniture else f"goto {furniture}"


def _news(sight: Sight) -> str:
    """What the other would want to know, and was not told."""
    news = [
        f"The {thing} is in the {sight.lying[thing]}."
        for thing in sight.missing
        if sight.held and sight.alone and thing in sight.lying
        if thing not in sight.said
    ]
    return " ".join([f"I have the {sight.held}.", *news]) if news else ""


# ---------------------------------------------------------------------- yardsticks


def play(world: World, policies: Mapping[str, Policy]) -> World:
    """The world, when it is over."""
    while not world.over:
        world.step({name: policy(world.view(name)) for name, policy in policies.items()})
    return world


def at_random(seed: int) -> dict[str, Policy]:
    """Everybody searches in an order of their own."""
    rng = random.Random(f"order {seed}")
    orders = {name: tuple(rng.sample(list(ROOM_OF), len(ROOM_OF))) for name in PEOPLE}
    return {name: partial(decide, habits=Habits(order=order)) for name, order in orders.items()}


def blind_split() -> dict[str, Policy]:
    """Everybody searches half of the rooms first and tells what they find, whatever the task."""
    return {
        name: partial(decide, habits=Habits(rooms=rooms, tells=True))
        for name, rooms in HALVES.items()
    }


def lower_bound(world: World) -> int:
    """Turns that nobody can do without, at the start of a world, even if they knew where all is.

    The things are shared out in the best way; whoever takes the second thing out of one piece of
    furniture finds it open.
    """
    start = world.people["alice"].room
    best = []
    for takers in itertools.product(PEOPLE, repeat=len(world.task.things)):
        for order in itertools.permutations(zip(world.task.things, takers, strict=True)):
            turns, rooms, opened = dict.fromkeys(PEOPLE, 0), dict.fromkeys(PEOPLE, start), set()
            for thing, taker in order:
                place = world.hidden[thing]
                for furniture in (place, world.task.target):
                    turns[taker] += doors(rooms[taker], ROOM_OF[furniture]) + 2  # goto, take or put
                    rooms[taker] = ROOM_OF[furniture]
                turns[taker] += place not in opened
                opened.add(place)
            best.append(max(turns.values()))
    return min(best)
