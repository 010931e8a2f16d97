"""A house in which two people look for things: 4 rooms, 12 pieces of furniture, all of them closed.

Everybody sees only the room where they are, and what has been opened there; of other rooms they
remember what they saw. All decide at once: ``World.step`` carries out one line of text for each. To
go through a door, to walk up to a piece of furniture, to open it, to take a thing and to put it
down takes a turn each, and so does talking. Counted as actions are turns in which anybody acts.

Where things may be was chosen so that people without a plan need about 19 actions, as on the slides
of Trace (whose VirtualHome this is not): that scale is made, what is better than what is found out.
"""

import random
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

ROOMS = {  # in a ring: doors lead from each to the one before and to the one after
    "kitchen": ("dishwasher", "oven", "fridge"),
    "livingroom": ("bookcase", "cabinet", "sideboard"),
    "bedroom": ("wardrobe", "nightstand", "desk"),
    "bathroom": ("basket", "cupboard", "washstand"),
}
RING = tuple(ROOMS)
ROOM_OF = {furniture: room for room, content in ROOMS.items() for furniture in content}
PEOPLE = {"alice": "bob", "bob": "alice"}  # each with the other
LIMIT = 60  # turns, after which a task is given up
TOGETHER = 0.75  # how often things that are wanted together lie together


@dataclass(frozen=True)
class Task:
    """What is wanted.

    Attributes:
        words: the goal as people are told it; it names the things and the target.
        things: what to find.
        target: the furniture to bring them to.
        places: the furniture that the things may be in at first.
    """

    words: str
    things: tuple[str, ...]
    target: str
    places: tuple[str, ...]


TASKS = {
    "read_book": Task(
        "Put the book into the nightstand.", ("book",), "nightstand",
        ("fridge", "cabinet", "sideboard", "wardrobe", "desk", "cupboard", "washstand"),
    ),
    "put_dishwasher": Task(
        "Put the plate and the fork into the dishwasher.", ("plate", "fork"), "dishwasher",
        ("bookcase", "cabinet", "sideboard", "cupboard", "basket"),
    ),
    "prepare_food": Task(
        "Put the bread and the cheese into the oven.", ("bread", "cheese"), "oven",
        ("fridge", "cabinet", "sideboard", "cupboard"),
    ),
}  # fmt: skip


@dataclass
class Person:
    """Where one person is, and all that they know.

    Attributes:
        at: the furniture at which they stand, or "".
        held: the thing in their hands, or "".
        seen: what lay in each opened piece of furniture when they were last in its room.
        other_has: the things that they saw in the other's hands.
        talk: what was said by them and to them, the newest last.
        told: the things of which they were told where they are.
        result: what came of their last action.
        opened: what they opened, in this order.
        kept: for each thing, for how many turns they knew where it lay and the other did not.
    """

    room: str
    at: str = ""
    held: str = ""
    seen: dict[str, tuple[str, ...]] = field(default_factory=dict)
    other_has: set[str] = field(default_factory=set)
    talk: list[str] = field(default_factory=list)
    told: set[str] = field(default_factory=set)
    result: str = ""
    opened: list[str] = field(default_factory=list)
    kept: Counter[str] = field(default_factory=Counter)

    def knows(self, thing: str) -> bool:
        """Whether they have seen a thing, or were told where it is."""
        seen = (thing in things for things in self.seen.values())
        return thing == self.held or thing in self.told | self.other_has or any(seen)


class World:
    """One task in one house; the same seed makes the same house.

    Attributes:
        hidden: the furniture that each thing was in at first.
        turn: turns so far.
        actions: turns so far in which anybody acted, not only talked; ``LIMIT`` if given up.
        messages: how often anybody talked.
        together: turns in which both were in the same room.
    """

    def __init__(self, task: str, seed: int) -> None:
        rng = random.Random(f"{task} in house {seed}")
        self.task = TASKS[task]
        place = rng.choice(self.task.places)
        self.hidden = {
            thing: place if rng.random() < TOGETHER else rng.choice(self.task.places)
            for thing in self.task.things
        }
        self.inside: dict[str, list[str]] = {furniture: [] for furniture in ROOM_OF}
        for thing, furniture in self.hidden.items():
            self.inside[furniture].append(thing)
        self.open: set[str] = set()
        start, self.first = rng.choice(RING), rng.randrange(2)
        self.people = {name: Person(start) for name in PEOPLE}
        self.turn = self.actions = self.messages = self.together = 0

    @property
    def done(self) -> bool:
        """Whether the task is fulfilled."""
        return {*self.task.things} <= {*self.inside[self.task.target]}

    @property
    def over(self) -> bool:
        """Whether the task is fulfilled, or has taken too long."""
        return self.done or self.turn >= LIMIT

    # ------------------------------------------------------------------ what people do

    def step(self, decided: Mapping[str, str]) -> None:
        """One turn: everybody does what they decided, a line such as "open fridge", all at once.

        If both reach for one thing, each is the quicker one every second turn. What cannot be done
        is a turn lost, and the person is told so.

        Raises:
            ValueError: if it is over, or not everybody has decided.
        """
        if self.over or decided.keys() != PEOPLE.keys():
            raise ValueError(f"no turn for {sorted(decided)} (over: {self.over})")
        deeds = {name: line.strip().partition(" ")[::2] for name, line in decided.items()}
        talking = [name for name, (verb, _) in deeds.items() if verb == "say"]
        self.messages += len(talking)
        self.actions += len(talking) < len(deeds)
        order = list(PEOPLE) if (self.turn + self.first) % 2 else list(PEOPLE)[::-1]
        for name in order:
            verb, about = deeds[name]
            self.people[name].result = self._do(name, verb, about.strip())
        self.turn += 1
        if self.over and not self.done:  # or to do nothing but talk would be best
            self.actions = LIMIT
        self._look()

    def _do(self, name: str, verb: str, about: str) -> str:
        match verb:
            case "goto":
                return self._goto(self.people[name], about)
            case "open":
                return self._open(self.people[name], about)
            case "take":
                return self._take(self.people[name], about)
            case "put":
                return self._put(self.people[name], about)
            case "say":
                return self._say(name, about)
            case "wait":
                return "You waited."
        return f"Nobody can do this: {verb} {about}"

    def _goto(self, person: Person, goal: str) -> str:
        if goal in ROOMS[person.room]:
            person.at = goal
            return f"You walked to the {goal}."
        if goal not in ROOMS or goal == person.room:
            return f"There is no way to {goal} from here."
        person.room, person.at = towards(person.room, goal), ""
        return f"You walked into the {person.room}."

    def _open(self, person: Person, furniture: str) -> str:
        if not furniture or person.at != furniture:
            return f"You do not stand at {furniture}."
        self.open.add(furniture)
        person.opened.append(furniture)
        return f"You opened the {furniture}."

    def _take(self, person: Person, thing: str) -> str:
        if person.held:
            return f"You can carry one thing only, and have the {person.held}."
        if person.at not in self.open or thing not in self.inside[person.at]:
            return f"There is no {thing} where you stand."
        self.inside[person.at].remove(thing)
        person.held = thing
        return f"You took the {thing}."

    def _put(self, person: Person, thing: str) -> str:
        if not thing or person.held != thing:
            return f"You do not have {thing}."
        if not person.at:
            return "You do not stand at any furniture."
        self.open.add(person.at)
        self.inside[person.at].append(thing)
        person.held = ""
        return f"You put the {thing} into the {person.at}."

    def _say(self, name: str, text: str) -> str:
        speaker, other = self.people[name], self.people[PEOPLE[name]]
        speaker.talk.append(f"You said: {text}")
        other.talk.append(f"{name} said: {text}")
        named = {*re.findall(r"\w+", text)}
        other.told |= {
            thing for thing in self.task.things if thing in named and speaker.knows(thing)
        }
        return "You talked."

    def _look(self) -> None:
        """Everybody looks around."""
        alice, bob = self.people.values()
        self.together += alice.room == bob.room
        for person, other in ((alice, bob), (bob, alice)):
            for furniture in self.open.intersection(ROOMS[person.room]):
                person.seen[furniture] = tuple(self.inside[furniture])
                person.other_has -= {*self.inside[furniture]}
            if person.room == other.room and other.held:
                person.other_has.add(other.held)
                for furniture, things in person.seen.items():
                    person.seen[furniture] = tuple(t for t in things if t != other.held)
        lying = [thing for thing in self.task.things if self._lies(thing)]
        for person, other in ((alice, bob), (bob, alice)):
            for thing in lying:
                person.kept[thing] += person.knows(thing) and not other.knows(thing)

    def _lies(self, thing: str) -> bool:
        """Whether a thing still has to be taken."""
        held = thing in (person.held for person in self.people.values())
        return not held and thing not in self.inside[self.task.target]

    # ------------------------------------------------------------------ what people see

    def view(self, name: str) -> str:
        """All that a person knows; to read the latest view is enough."""
        person, other = self.people[name], PEOPLE[name]
        lines = [
            f"Goal: {self.task.words}",
            f"You are in the {person.room}, at the {person.at or 'door'}.",
            f"Doors lead to the {' and the '.join(near(person.room))}.",
            f"You carry: {person.held or 'nothing'}.",
        ]
        if self.people[other].room == person.room:
            lines.append(f"{other} is here too.")
        lines += [f"{other} has the {t}." for t in self.task.things if t in person.other_has]
        for room, content in ROOMS.items():
            known = [f"{furniture} ({self._known(person, furniture)})" for furniture in content]
            lines.append(f"In the {room}: {', '.join(known)}.")
        return "\n".join([*lines, *person.talk, person.result]).strip()

    def _known(self, person: Person, furniture: str) -> str:
        things = person.seen.get(furniture)
        return "closed" if things is None else ", ".join(things) or "empty"

    def report(self) -> str:
        """What happened: facts that people may learn from, told when it is over."""
        alice, bob = self.people.values()
        end = "Done" if self.done else "Given up"
        told = [f"{end} after {self.actions} actions and {self.messages} messages."]
        told += [f"The {thing} was in the {place}." for thing, place in self.hidden.items()]
        told.append(f"They were in the same room for {self.together} of {self.turn} turns.")
        twice = [furniture for furniture in ROOM_OF if furniture in {*alice.opened} & {*bob.opened}]
        if twice:
            told.append(f"Both opened: {', '.join(twice)}.")
        told += [
            f"{name} knew for {turns} turns where the {thing} was, and {PEOPLE[name]} did not."
            for name, person in self.people.items()
            for thing, turns in person.kept.items()
            if turns > 1  # in one turn it can be taken
        ]
        return " ".join(told)


def near(room: str) -> tuple[str, str]:
    """The rooms to which doors lead."""
    at = RING.index(room)
    return RING[(at + 1) % len(RING)], RING[at - 1]


def doors(room: str, goal: str) -> int:
    """How many doors are between two rooms."""
    ahead = (RING.index(goal) - RING.index(room)) % len(RING)
    return min(ahead, len(RING) - ahead)


def towards(room: str, goal: str) -> str:
    """The next room on a shortest way to another one."""
    return min(near(room), key=lambda through: doors(through, goal))
