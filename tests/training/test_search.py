"""What a step of the loop does for an optimizer: where it starts, what is kept, when it ends."""

import threading
from typing import ClassVar

import pytest

import trace_bridge as tb


class Pair(tb.Module):
    """Its output is its two words."""

    def __init__(self):
        self.first = tb.node("a", trainable=True)
        self.second = tb.node("b", trainable=True)

    def forward(self, row):
        return joined(self.first, self.second, row)


@tb.bundle
def joined(first, second, row):
    return f"{first} {second}"


class Planned(tb.Optimizer):
    """Proposes what it is told to, one after the other."""

    name: ClassVar[str] = "planned"

    def __init__(self, *proposed, starts=None, gated=False, turns=1):
        super().__init__()
        self.proposed, self.starts, self.gated, self.turns = proposed, starts or {}, gated, turns
        self.seen = []

    def plan(self, history):
        start = self.starts.get(len(history), {})
        return tb.StepPlan("planned", 2, 1, gated=self.gated, start=start, turns=self.turns)

    async def propose(self, subgraphs, parameters, history, n=1):
        self.seen.append(
            ({p.name: p.peek() for p in parameters}, [g.nodes[-1].peek() for g in subgraphs])
        )
        wanted = self.proposed[len(history) - 1] if len(history) <= len(self.proposed) else {}
        named = {p.name: p for p in parameters}
        changes = tuple(tb.judge_change(named[path], new) for path, new in wanted.items())
        return [tb.Proposal(changes, "", self.name)] if changes else []


def run(optimizer, score, journal=None, settings=None, **engine):
    rows = [{"row": number} for number in range(24)]
    engine = {"concurrency": 2, "journal": journal, **engine}
    return tb.optimize(
        Pair(), rows, lambda example, output: (score(output), f"{output} got it"),
        optimizer=optimizer, engine=tb.Engine(**engine), progress=False, **settings or {},
    )  # fmt: skip


def parts(output):
    """Only both right words count; alone they do harm."""
    return {"a b": 0.5, "x y": 1.0}.get(output, 0.25)


def test_a_step_may_start_from_any_candidate_of_the_history():
    optimizer = Planned({"self:first": "x"}, {"self:second": "y"}, starts={2: {"self:first": "x"}})
    found = run(optimizer, parts)
    assert optimizer.seen[1] == ({"self:first": "x", "self:second": "b"}, ["x b", "x b"])
    original, dropped, accepted = found.trials
    assert dropped.fate.startswith("not reliably better")
    assert accepted.state == {"self:first": "x", "self:second": "y"}
    assert accepted.proposal.changes == (tb.Change("self:second", "b", "y"),)
    assert accepted.fate == "accepted"
    assert found.best.state == accepted.state
    assert original.score == 0.5


def test_a_run_that_starts_elsewhere_resumes(tmp_path):
    def found():
        starts = {2: {"self:first": "x"}}
        optimizer = Planned({"self:first": "x"}, {"self:second": "y"}, starts=starts)
        return run(optimizer, parts, tmp_path / "journal.sqlite"), optimizer

    first, asked = found()
    again, silent = found()
    assert len(asked.seen) == 2
    assert silent.seen == []
    assert again.record.reused == again.record.evaluations
    assert [t.state for t in again.trials] == [t.state for t in first.trials]


@pytest.mark.parametrize("turns", [1, 3])
def test_patience_is_for_each_that_takes_turns(turns):
    optimizer = Planned(*({"self:first": f"x{n}"} for n in range(20)), turns=turns)
    found = run(optimizer, lambda output: 0.5, patience=2)
    assert len(found.trials) == 1 + 2 * turns
    assert found.record.stopped == f"no candidate was accepted in {2 * turns} steps"


def test_what_was_said_on_the_minibatch_is_remembered():
    both = {"self:first": "x", "self:second": "y"}
    optimizer = Planned({"self:first": "worse"}, both, gated=True)
    found = run(optimizer, parts)
    original, worse, better = found.trials
    assert original.feedback == ()
    assert worse.fate == "worse on the minibatch: 0.25 after 0.5"
    assert worse.feedback == (tb.Feedback("worse b got it", 0.25),) * 2
    assert better.feedback == (tb.Feedback("x y got it", 1.0),) * 2


def test_a_proposal_of_which_nothing_can_be_used_is_kept_with_the_reasons(tmp_path):
    class Vain(Planned):
        async def propose(self, subgraphs, parameters, history, n=1):
            why = "is not one of the variables"
            unknown = tb.Change("nobody", None, object(), accepted=False, reason=why)
            same = tb.judge_change(parameters[0], parameters[0].peek())
            return [tb.Proposal((unknown,), "one", "vain"), tb.Proposal((same,), "two", "vain")] * 2

    found = run(Vain(), parts, tmp_path / "journal.sqlite", patience=1)
    [_, vain] = found.trials
    assert vain.fate == "nothing to try: is not one of the variables; is the value that it has"
    assert [(c.path, c.accepted, c.reason) for c in vain.proposal.changes] == [
        ("nobody", False, "is not one of the variables"),
        ("self:first", False, "is the value that it has"),
    ]
    assert vain.proposal.state == {}
    assert vain.proposal.reasoning == "one\ntwo"
    assert vain.proposal.optimizer == "planned"
    assert vain.state == found.trials[0].state


class Several(Planned):
    """Proposes all that it is told to at once, in its first step."""

    async def propose(self, subgraphs, parameters, history, n=1):
        if len(history) > 1:
            return []
        return [
            proposal
            for wanted in self.proposed
            for proposal in await Planned(wanted).propose(subgraphs, parameters, history)
        ]


def test_proposals_are_tried_on_the_minibatch_beside_each_other():
    together = threading.Barrier(4)  # two proposals, two rows

    def score(output):
        if output.startswith("worse"):
            together.wait(timeout=20)
            return 0.0
        return 0.5

    optimizer = Several({"self:first": "worse"}, {"self:first": "worse too"}, gated=True)
    found = run(optimizer, score, concurrency=4)
    assert [t.fate for t in found.trials[1:3]] == ["worse on the minibatch: 0 after 0.5"] * 2
    assert found.record.warnings == ()  # nobody waited in vain


# 4 on validation rows, twice 4 on held-out ones, 2 of what is to be improved; then 2 of each
# proposal, and 4 of what passes
@pytest.mark.parametrize(
    ("evaluations", "tried"), [(19, 0), (20, 1), (21, 1), (22, 2), (24, 3), (50, 3)]
)
def test_as_many_proposals_are_tried_as_the_budget_allows(evaluations, tried):
    both = {"self:first": "x", "self:second": "y"}
    optimizer = Several(both, {"self:first": "worse"}, {"self:first": "worse too"}, gated=True)
    sets = {"valset": [{"row": n} for n in range(4)], "testset": [{"row": n} for n in range(4, 8)]}
    found = run(optimizer, parts, settings={"budget": tb.Budget(evaluations=evaluations), **sets})
    assert sum(t.proposal.state != {} for t in found.trials) == tried
    assert (found.record.found.state == both) == (tried > 0)
    assert found.record.evaluations <= evaluations


def test_feedback_is_remembered_in_a_loop_of_ones_own():
    class Remembering(Planned):
        async def propose(self, subgraphs, parameters, history, n=1):
            self.history = list(history)
            return await super().propose(subgraphs, parameters, history, n)

    agent = Pair()
    optimizer = Remembering({"self:first": "x"})
    optimizer.parameters = agent.parameters()
    for said in ("first", "second"):
        optimizer.zero_feedback()
        optimizer.backward(agent(1), (0.5, said))
        optimizer.step()
    assert [[f.text for f in trial.feedback] for trial in optimizer.history] == [
        ["first"],
        ["second"],
    ]
