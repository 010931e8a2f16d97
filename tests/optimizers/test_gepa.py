"""GEPA: what its reflection is shown, whom it starts from, what it merges, what it refuses."""

import asyncio
import importlib.metadata
import subprocess
import sys
from collections import Counter

import pytest

import trace_bridge as tb
from trace_bridge.graph import Parameter, bundle, node
from trace_bridge.optimizers.base import Change, Proposal, Trial
from trace_bridge.optimizers.gepa import GEPA
from trace_bridge.testing import ScriptedLLM

pytestmark = pytest.mark.usefixtures("gepa")


def propose(optimizer, parameters, history=(), n=1, subgraphs=()):
    return asyncio.run(optimizer.propose(subgraphs, parameters, list(history), n))


def trial(number, state, scores, *changes, fate="dropped"):
    proposal = Proposal(tuple(Change(*change) for change in changes), "", "gepa")
    return Trial(
        number, state, dict(enumerate(scores)), fate, proposal if changes else Proposal(())
    )


@bundle
def look_up(prompt, question):
    """Find what the question needs."""
    return f"nothing about {question}"


@bundle
def answer(prompt, found, question):
    """Answer from what was found."""
    return f"I do not know, {found}"


def agent(question, search, reply):
    question = node(question, name="question")
    return answer(reply, look_up(search, question), question)


# ------------------------------------------------------------------ reflection


def test_reflection_is_the_packages_prompt_with_the_steps_that_read_the_text():
    search, reply = Parameter("Search.", "search"), Parameter("Reply.", "reply")
    graphs = [agent(f"where {n}", search, reply).backward((0.0, f"miss {n}")) for n in range(2)]
    llm = ScriptedLLM().when(
        "I provided an assistant with the following instructions to perform a task for me:",
        "```\nSearch.\n```",
        "# Example 1\n## Inputs\n### question\nwhere 0\n\n## Generated Outputs\nnothing about",
        "# Example 2\n## Inputs\n### question\nwhere 1",
        "## Feedback\nscore 0: miss 1",
        reply="They want places.\n```\nSearch for places.\n```",
    )  # fmt: skip
    [proposal] = propose(GEPA(llm=llm), [search, reply], subgraphs=graphs)
    assert proposal.changes == (Change("search", "Search.", "Search for places."),)
    assert proposal.optimizer == "gepa"
    assert "I do not know" not in llm.calls[0].prompt  # another step's output


def test_of_many_steps_the_last_are_shown_and_the_rest_is_marked():
    p, text = Parameter("Go on.", "p"), node("start")
    for _ in range(1_000):
        text = look_up(p, text)
    llm = ScriptedLLM()
    propose(GEPA(llm=llm, budget=8_000), [p], subgraphs=[text.backward((0.0, "bad"))])
    prompt = llm.calls[0].prompt
    shown = prompt.count("## Generated Outputs")
    assert 5 < shown < 50
    assert f"## Left out\n{1_000 - shown} earlier steps of the same runs" in prompt
    assert len(prompt) < 8_000 + 2_000  # the package's own words


def test_what_a_text_is_for_and_has_to_keep_is_told():
    p = Parameter("Old.", "p", description="how to greet", constraint="one sentence")
    llm = ScriptedLLM().when(
        "It is for: how to greet", "It has to be: one sentence", reply="```\nNew.\n```"
    )
    [proposal] = propose(GEPA(llm=llm), [p], subgraphs=[(p + "").backward((0.0, "bad"))])
    assert proposal.state == {"p": "New."}


def test_a_template_of_ones_own():
    p = Parameter("Old.", "p")
    llm = ScriptedLLM().when("user: Mend Old. by ", "rude", reply="```\nNew.\n```")
    optimizer = GEPA(llm=llm, template="Mend <curr_param> by <side_info>")
    [proposal] = propose(optimizer, [p], subgraphs=[(p + "").backward((0.0, "rude"))])
    assert proposal.state == {"p": "New."}
    assert optimizer.settings() != GEPA(llm=llm).settings()
    with pytest.raises(ValueError, match="side_info"):
        GEPA(template="Mend <curr_param>")


def test_long_values_keep_the_prompt_within_its_budget():
    p = Parameter("Old.", "p")
    graphs = [(p + "x" * 200_000).backward((0.0, "y" * 50_000)) for _ in range(6)]
    llm = ScriptedLLM()
    propose(GEPA(llm=llm, budget=9000), [p], subgraphs=graphs)
    assert 8000 < len(llm.calls[0].prompt) < 11_000
    assert llm.calls[0].prompt.count("characters left out") == 18


@pytest.mark.parametrize(
    ("text", "finish_reason", "problem"),
    [
        ("```\nHalf of", "length", "cut off"),
        ("```\nHalf of", "stop", "no text between"),
        ("I cannot help with that.", "stop", "no text between"),
        ("```\nIn a block:\n```json\n{}\n```\n", "stop", "no text between"),
        ("```\nOne.\n```\nor\n```\nTwo.\n```", "stop", "several texts between"),
        ("```\n```", "stop", "must not be empty"),
        ("```\nOld.\n```", "stop", "is the value that it has"),
    ],
)
def test_a_reply_that_cannot_be_used_changes_nothing(text, finish_reason, problem):
    p = Parameter("Old.", "p")
    llm = ScriptedLLM().when("Old.", reply=text, finish_reason=finish_reason)
    [proposal] = propose(GEPA(llm=llm), [p], subgraphs=[(p + "").backward((0.0, "bad"))])
    assert proposal.state == {}
    assert problem in proposal.reasoning + "".join(c.reason for c in proposal.changes)


def test_a_block_inside_the_text_is_its_own():
    p = Parameter("Old.", "p")
    llm = ScriptedLLM().when("Old.", reply="So:\n```\nAs in:\n```json\n{}\n```\nNew.\n```\nBye.")
    [proposal] = propose(GEPA(llm=llm), [p], subgraphs=[(p + "").backward((0.0, "bad"))])
    assert proposal.state == {"p": "As in:\n```json\n{}\n```\nNew."}


def test_the_model_is_told_once_why_its_reply_cannot_be_used():
    p = Parameter("Old.", "p")
    llm = ScriptedLLM().when("This cannot be used: the reply holds no", reply="```\nNew.\n```")
    [proposal] = propose(GEPA(llm=llm), [p], subgraphs=[(p + "").backward((0.0, "bad"))])
    assert proposal.state == {"p": "New."}
    assert len(llm.calls) == 2


# ------------------------------------------------------------------ which text


def changed(parameters, subgraphs, history=(), n=1):
    llm = ScriptedLLM(lambda _: "```\nNew.\n```")
    found = propose(GEPA(llm=llm), parameters, history, n, subgraphs)
    return [change.path for proposal in found for change in proposal.changes]


def test_only_a_text_on_the_way_to_a_blamed_output_is_rewritten():
    p, q, unread = (Parameter(f"{name}.", name) for name in ("p", "q", "unread"))
    graphs = [(p + "").backward((1.0, "good")), (q + "").backward((0.0, "bad"))]
    assert changed([unread, p, q], graphs, n=4) == ["q"]
    assert changed([unread, p, q], [(p + "").backward((1.0, "good"))]) == []


def test_the_text_whose_runs_lack_most_comes_first_and_last_after_trying_in_vain():
    shared, branch = Parameter("S.", "shared"), Parameter("B.", "branch")
    graphs = [(shared + branch).backward(0.25), (shared + "").backward(0.75)]
    assert changed([shared, branch], graphs, n=2) == ["branch", "shared"]
    vain = trial(1, {}, [], ("branch", "B.", "C."))
    assert changed([shared, branch], graphs, [vain], n=2) == ["shared", "branch"]
    accepted = trial(1, {}, [], ("branch", "B.", "C."), fate="accepted")
    assert changed([shared, branch], graphs, [accepted], n=2) == ["branch", "shared"]


def test_of_components_in_a_row_each_gets_its_turn():
    ps = [Parameter(f"{n}.", f"p{n}") for n in range(4)]
    graph = (ps[0] + ps[1] + ps[2] + ps[3]).backward((0.0, "bad"))
    history, order = [], []
    for number in range(8):
        [path] = changed(ps, [graph], history)
        order.append(path)
        history.append(trial(number, {}, [], (path, "", "New.")))
    assert order == ["p0", "p1", "p2", "p3"] * 2


# ------------------------------------------------------------------ whom it starts from

ORIGINAL = trial(0, {"p": "a", "q": "b"}, [0, 0, 0.4, 0.4], fate="original")
LEFT = trial(1, {"p": "x", "q": "b"}, [1, 1, 0, 0], ("p", "a", "x"))
RIGHT = trial(2, {"p": "a", "q": "y"}, [0, 0, 1, 1], ("q", "b", "y"))
WORSE = trial(3, {"p": "z", "q": "b"}, [0, 0, 0.4, 0.3], ("p", "a", "z"))
HISTORY = [ORIGINAL, LEFT, RIGHT, WORSE]


def starts(history, seeds=range(60)):
    plans = [GEPA(seed=seed, merge=False).plan(history) for seed in seeds]
    return Counter(plan.start.get("p") for plan in plans)


def test_it_starts_from_those_that_are_best_on_some_row():
    found = starts(HISTORY)
    assert set(found) == {"x", "a"}
    assert 20 <= found["x"] <= 40
    assert all(GEPA(seed=s).plan(HISTORY) == GEPA(seed=s).plan(list(HISTORY)) for s in range(5))


def test_who_is_best_on_more_rows_is_chosen_more_often():
    most = trial(1, {"p": "x", "q": "b"}, [1, 1, 1, 0], ("p", "a", "x"))
    found = starts([ORIGINAL, most, trial(2, {"p": "z", "q": "b"}, [0, 0, 0, 1], ("p", "a", "z"))])
    assert found["x"] > 2 * found["z"] > 0


def test_who_was_not_evaluated_on_all_rows_is_not_in_the_pool():
    lucky = trial(1, {"p": "lucky", "q": "b"}, [1, 1], ("p", "a", "lucky"))
    assert set(starts([ORIGINAL, lucky])) == {"a"}
    assert GEPA().plan([]).start == {}


# ------------------------------------------------------------------ merges


def merged(history, seed=0, now=None, **options):
    """The merge, proposed while the planned candidate is current; without asking a model."""
    optimizer = GEPA(llm=ScriptedLLM(), seed=seed, **options)
    start = optimizer.plan(history).start if now is None else now
    found = propose(optimizer, [Parameter(value, name) for name, value in start.items()], history)
    return {**start, **found[0].state} if found else None


def test_two_of_the_front_become_one_by_their_common_ancestor():
    assert merged(HISTORY[:3]) == {"p": "x", "q": "y"}
    better = trial(1, LEFT.state, [1, 1, 1, 0], ("p", "a", "x"))
    optimizer = GEPA(llm=ScriptedLLM())
    plan = optimizer.plan([ORIGINAL, better, RIGHT])
    assert (plan.start, plan.gated) == (better.state, True)
    parameters = [Parameter(value, name) for name, value in plan.start.items()]
    [proposal] = propose(optimizer, parameters, [ORIGINAL, better, RIGHT])
    assert proposal.changes == (Change("q", "b", "y"),)
    assert proposal.reasoning == "merge of trials 1, 2 from trial 0"


@pytest.mark.parametrize(
    "history",
    [
        [*HISTORY[:3], trial(3, {"p": "x", "q": "y"}, [], ("q", "b", "y"))],
        [ORIGINAL, LEFT, trial(2, {"p": "x", "q": "y"}, [0, 0, 1, 1], ("q", "b", "y"))],
        [trial(0, ORIGINAL.state, [1] * 4), LEFT, RIGHT],
        [ORIGINAL, LEFT, RIGHT, trial(3, {"p": "z", "q": "b"}, [])],
    ],
    ids=["tried", "one made from the other", "better ancestor", "newest is not in the pool"],
)
def test_there_is_nothing_to_merge(history):
    assert merged(history) is None


def test_merging_can_be_turned_off():
    assert merged(HISTORY[:3], merge=False) is None


def test_a_merge_is_not_made_for_a_candidate_that_was_not_planned():
    assert merged(HISTORY[:3], now=ORIGINAL.state) is None


def test_scores_of_nought_and_below_do_not_stop_a_merge():
    for low in (0.0, -3.0):
        history = [
            trial(0, ORIGINAL.state, [low] * 4),
            trial(1, LEFT.state, [low + 1, low, low, low], ("p", "a", "x")),
            trial(2, RIGHT.state, [low, low + 1, low, low], ("q", "b", "y")),
        ]
        assert merged(history) == {"p": "x", "q": "y"}


_MERGE = """
import tests.optimizers.test_gepa as t
names = [f"name {n}" for n in range(12)]
def made(number, value, p, scores):
    changes = [(n, "o", value) for n in names] + [("p", "o", p)]
    return t.trial(number, dict.fromkeys(names, value) | {"p": p}, scores, *changes)
zero, one, two = made(0, "o", "o", [0, 0]), made(1, "x", "x", [1, 0]), made(2, "y", "o", [0, 1])
print(t.merged([zero, one, two]))
"""


def test_merges_are_the_same_in_every_process():
    """GEPA walks a set of names; where both changed a text and tie, it draws."""
    found = {
        subprocess.run(
            [sys.executable, "-c", _MERGE], env={"PYTHONHASHSEED": seed}, cwd=".",
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(found) == 1
    assert "'x'" in found.pop()


# ------------------------------------------------------------------ whole runs


class Desk(tb.Module):
    """Two clerks share the rows; each goes by its own text, and extra care of one harms a few."""

    def __init__(self):
        self.left = tb.node("sloppy", trainable=True)
        self.right = tb.node("sloppy", trainable=True)

    def forward(self, side, row):
        return served(self.left, self.right, side, row)


@tb.bundle
def served(left, right, side, row):
    """Serve a row at a desk."""
    mine, other = (left, right) if side == "left" else (right, left)
    both = left == right == "careful"
    return "good" if both or (mine == "careful") or (other == "sloppy" and row % 3 == 0) else "bad"


def reflect(prompt):
    """Knows what to write if the feedback is there; one text at a time."""
    if "## Feedback" not in prompt or "score 0: be careful" not in prompt:
        return None
    return "```\ncareful\n```" if "```\nsloppy\n```" in prompt else "```\nsloppy\n```"


def run(journal, seed=0, **options):
    rows = [{"side": side, "row": n} for n in range(36) for side in ("left", "right")]
    llm = ScriptedLLM(reflect)
    found = tb.optimize(
        Desk(), rows, lambda row, output: (1.0, "") if output == "good" else (0.0, "be careful"),
        optimizer=GEPA(seed=seed, **options), llm=llm, progress=False,
        engine=tb.Engine(concurrency=2, journal=journal, seed=seed, patience=6),
        budget=tb.Budget(evaluations=500),
    )  # fmt: skip
    return found, llm


def test_a_run_merges_what_two_candidates_are_good_at_and_resumes_without_asking(tmp_path):
    found, llm = run(tmp_path / "journal.sqlite")
    assert found.verdict == "better"
    assert found.best.state == {"self:left": "careful", "self:right": "careful"}
    assert found.best.proposal.reasoning == "merge of trials 1, 3 from trial 0"
    assert len(llm.calls) == len(found.trials) - 2  # neither the original nor the merge
    again, silent = run(tmp_path / "journal.sqlite")
    assert silent.calls == []
    assert again.record.reused == again.record.evaluations == found.record.evaluations
    assert [(t.state, t.fate) for t in again.trials] == [(t.state, t.fate) for t in found.trials]


def test_a_loop_in_pytorch_words():
    p = Parameter("sloppy", "p")
    llm = ScriptedLLM(reflect)
    optimizer = GEPA([p], llm)
    for _ in range(3):
        optimizer.zero_feedback()
        right = p.peek() == "careful"
        optimizer.backward(p + "", (float(right), "" if right else "be careful"))
        optimizer.step()
    assert p.base == "careful"
    assert len(llm.calls) == 1


def test_the_package_is_asked_for(monkeypatch):
    def missing(_):
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'trace-bridge\[gepa\]'"):
        GEPA()
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "0.0.27")
    with pytest.raises(ModuleNotFoundError, match=r"needs gepa 0.1 or newer, and 0.0.27"):
        GEPA()


def test_demonstrations_numbers_and_code_are_left_to_others():
    others = [
        Parameter([], "demos", kind="demos"),
        Parameter("def f(): pass", "code", kind="code"),
        Parameter("a", "choice", kind="choice", choices=["a", "b"]),
    ]
    graph = bundle(lambda *values: str(values))(*others).backward((0.0, "bad"))
    assert propose(GEPA(llm=ScriptedLLM()), others, subgraphs=[graph]) == []
