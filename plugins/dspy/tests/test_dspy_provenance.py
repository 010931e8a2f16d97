"""How well a recorded graph tells which predictor's output went into which other one.

Each program is written down with the edges that it really has. ``DEVELOPMENT`` was there while the
recorder was written; ``HELD_OUT`` was written after it was finished, and run once before it was
put here unchanged.
"""

# ruff: noqa: RUF012 (programs are declared, nobody changes them)
import asyncio
import json
import re

import dspy
from dspy_test_tools import ScriptLM, edges
from trace_bridge_dspy.module import DSPyModule

SAID = {
    "plan": "first look at harbour records and then compare the tonnage",
    "draft": "The harbour of Ostend handled more cargo in spring than in autumn.",
    "critique": "mention which goods were carried",
    "final": "Ostend handled more grain in spring.",
    "label": "shipping",
    "urgent": "True",
    "count": "4",
    "score": "0.7",
    "query": "cargo tonnage of Ostend by season",
    "facts": "spring 1912 saw eleven thousand tons of grain unloaded",
    "key": "k2",
    "names": '["Anna Maria Vermeer", "Joost van Dale"]',
    "left": "a quiet canal town with few visitors",
    "right": "an expensive seaside resort full of hotels",
}


def _fields(messages):
    wanted = re.findall(r"`\[\[ ## (\w+) ## \]\]`", messages[-1]["content"])
    known = {"reasoning": "thinking it over step by step", **SAID}
    return {name: known[name] for name in wanted if name != "completed"}


class Base(dspy.Module):
    signatures = {}

    def __init__(self):
        super().__init__()
        for name, signature in self.signatures.items():
            setattr(self, name, dspy.Predict(signature))


class Chain(Base):
    signatures = {"a": "question -> plan", "b": "question, plan -> draft"}
    true = {("a", "b")}

    def forward(self, question):
        return self.b(question=question, plan=self.a(question=question).plan)


class Formatted(Base):
    signatures = {"a": "question -> plan", "b": "text -> draft"}
    true = {("a", "b")}

    def forward(self, question):
        return self.b(text=f"Question {question}. Notes: {self.a(question=question).plan}!")


class Branch(Base):
    signatures = {
        "a": "question -> urgent: bool",
        "b": "question -> draft",
        "c": "question -> final",
    }
    true = {("a", "b")}

    def forward(self, question):
        if self.a(question=question).urgent:
            return self.b(question=question)
        return self.c(question=question)


class Arithmetic(Base):
    signatures = {"a": "question -> count: int", "b": "question, limit: int -> draft"}
    true = {("a", "b")}

    def forward(self, question):
        return self.b(question=question, limit=self.a(question=question).count * 2 + 1)


class Joined(Base):
    signatures = {"a": "question -> left", "b": "question -> right", "c": "text -> draft"}
    true = {("a", "c"), ("b", "c")}

    def forward(self, question):
        parts = [self.a(question=question).left, self.b(question=question).right]
        return self.c(text=" / ".join(parts))


class Dumped(Base):
    signatures = {"a": "question -> facts", "b": "data -> draft"}
    true = {("a", "b")}

    def forward(self, question):
        return self.b(data=json.dumps({"facts": self.a(question=question).facts, "n": 1}))


class Whole(Base):
    signatures = {"a": "question -> plan", "b": "earlier, question -> draft"}
    true = {("a", "b")}

    def forward(self, question):
        return self.b(earlier=self.a(question=question), question=question)


class Diamond(Base):
    signatures = {
        "a": "question -> query", "b": "query -> facts", "c": "query -> critique",
        "d": "facts, critique -> final",
    }  # fmt: skip
    true = {("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")}

    def forward(self, question):
        query = self.a(question=question).query
        facts, critique = self.b(query=query).facts, self.c(query=query).critique
        return self.d(facts=facts, critique=critique)


class Apart(Base):
    signatures = {"a": "question -> left", "b": "question -> right"}
    true = set()

    def forward(self, question):
        left, right = self.a(question=question), self.b(question=question)
        return dspy.Prediction(left=left.left, right=right.right)


class Refined(Base):
    signatures = {
        "a": "question -> draft",
        "b": "draft -> critique",
        "c": "draft, critique -> final",
    }
    true = {("a", "b"), ("a", "c"), ("b", "c"), ("c", "b"), ("c", "c")}

    def forward(self, question):
        draft = self.a(question=question).draft
        for _ in range(2):
            critique = self.b(draft=draft).critique
            output = self.c(draft=draft, critique=critique)
            draft = output.final
        return output


class WithTool(Base):
    signatures = {"a": "question -> query", "b": "question, context -> final"}
    true = {("a", "find"), ("find", "b")}

    def __init__(self):
        super().__init__()
        self.find = dspy.Tool(self.look, name="find")

    def look(self, query: str) -> str:
        """Look it up."""
        return f"page 12 of the almanac says: eleven ships ({len(query)})"

    def forward(self, question):
        found = self.find(query=self.a(question=question).query)
        return self.b(question=question, context=[found])


class LastWord(Base):
    signatures = {"a": "question -> plan", "b": "word -> final"}
    true = {("a", "b")}

    def forward(self, question):
        return self.b(word=self.a(question=question).plan.split()[-1])


class Lookup(Base):
    signatures = {"a": "question -> key", "b": "text -> final"}
    true = {("a", "b")}
    table = {"k1": "one", "k2": "an entry of the table"}

    def forward(self, question):
        return self.b(text=self.table[self.a(question=question).key])


class Nested(dspy.Module):
    true = {("inner.a", "inner.b"), ("inner.b", "last.predict")}

    def __init__(self):
        super().__init__()
        self.inner = Chain()
        self.last = dspy.ChainOfThought("draft -> final")

    def forward(self, question):
        return self.last(draft=self.inner(question=question).draft)


class Ranked(Base):
    """The score decides which candidate goes on; the score itself is never passed."""

    signatures = {
        "write": "question, style -> draft", "judge": "draft -> score: float",
        "polish": "draft -> final",
    }  # fmt: skip
    true = {("write", "judge"), ("write", "polish"), ("judge", "polish")}

    def forward(self, question):
        drafts = [self.write(question=question, style=style).draft for style in ("dry", "vivid")]
        ranked = sorted(drafts, key=lambda draft: self.judge(draft=draft).score)
        return self.polish(draft=ranked[-1])


class Unpacked(Base):
    """A prediction goes on as keywords, and a label is only logged."""

    signatures = {
        "a": "question -> facts, query", "b": "facts, query -> draft", "tag": "question -> label",
    }  # fmt: skip
    true = {("a", "b")}

    def forward(self, question):
        self.log = self.tag(question=question).label.upper()
        return self.b(**self.a(question=question))


class Gathered(Base):
    """Three calls at once, in tasks; a fourth reads what they said."""

    signatures = {
        "left": "question -> left", "right": "question -> right", "plan": "question -> plan",
        "merge": "notes: list[str] -> final",
    }  # fmt: skip
    true = {("left", "merge"), ("right", "merge"), ("plan", "merge")}

    async def aforward(self, question):
        parts = await asyncio.gather(
            self.left.acall(question=question),
            self.right.acall(question=question),
            self.plan.acall(question=question),
        )
        notes = [parts[0].left, parts[1].right.capitalize(), f"- {parts[2].plan}"]
        return await self.merge.acall(notes=notes)


class Listed(Base):
    """Typed lists: each item is worked on, and a number decides how many."""

    signatures = {
        "people": "question -> names: list[str]", "limit": "question -> count: int",
        "look": "name -> facts", "write": "material -> final",
    }  # fmt: skip
    true = {("people", "look"), ("limit", "look"), ("look", "write")}

    def forward(self, question):
        names = self.people(question=question).names
        facts = [
            self.look(name=name).facts for name in names[: self.limit(question=question).count]
        ]
        return self.write(material="\n\n".join(facts))


class Routed(dspy.Module):
    """A label picks a branch, which is a module; the last step sees only the branch's output."""

    true = {("route", "branches.shipping.a"), ("branches.shipping.a", "branches.shipping.b"),
            ("branches.shipping.b", "check.predict")}  # fmt: skip

    def __init__(self):
        super().__init__()
        self.route = dspy.Predict("question -> label")
        self.branches = {"shipping": Chain(), "other": Formatted()}
        self.check = dspy.ChainOfThought("draft -> critique, final")

    def forward(self, question):
        label = self.route(question=question).label.strip().lower()
        draft = self.branches.get(label, self.branches["other"])(question=question)
        checked = self.check(draft=draft.draft)
        return dspy.Prediction(final=checked.final, note=checked.critique)


DEVELOPMENT = [
    Chain, Formatted, Branch, Arithmetic, Joined, Dumped, Whole, Diamond, Apart, Refined, WithTool,
    LastWord, Lookup, Nested,
]  # fmt: skip
HELD_OUT = [Ranked, Unpacked, Gathered, Listed, Routed]


def found(program, run):
    with dspy.context(lm=ScriptLM(_fields)):
        output, _, recorder = run(DSPyModule(program()), {"question": "How busy was Ostend?"})
    assert not isinstance(output, Exception), output
    return edges(recorder)


def measure(programs, run):
    """Edges that were found rightly, wrongly, and not at all, by program."""
    table = {}
    for program in programs:
        edge = found(program, run)
        table[program.__name__] = (edge & program.true, edge - program.true, program.true - edge)
    counts = [sum(len(row[i]) for row in table.values()) for i in range(3)]
    right, wrong, missed = counts
    return right / (right + wrong), right / (right + missed), table


def test_development_programs(run):
    precision, recall, table = measure(DEVELOPMENT, run)
    assert precision >= 0.9, table
    assert recall >= 0.9, table


def test_held_out_programs(run):
    """When these five were run first: 0.75 and 0.92 on 13 edges, all wrong ones guessed from reads.

    Since then a read no longer goes to the next turn of the component that was read (0.86), so
    the set is not held out any more. What is left: a label that is only logged is given to the next
    call (``Evidence.READ``, which an optimizer may leave out), and a label that picks a module to
    that module's last component.
    """
    precision, recall, table = measure(HELD_OUT, run)
    assert precision >= 0.85, table
    assert recall >= 0.9, table
