"""OptoPrime end to end, with a model that can only answer from what its prompt shows."""

import asyncio
import re

import pytest

from trace_bridge.graph import Feedback, Module, Parameter, bundle, node
from trace_bridge.llm import retrying
from trace_bridge.llm.base import CallableLLM, ModelUnavailableError, Reply
from trace_bridge.optimizers.base import Change, Trial
from trace_bridge.optimizers.optoprime import OptoPrime
from trace_bridge.testing import ScriptedLLM


class Script:
    """Gives one answer after the other, and keeps the conversations."""

    model = "script"

    def __init__(self, *replies):
        self.replies = list(replies)
        self.asked = []

    async def complete(self, messages):
        self.asked.append(list(messages))
        reply = self.replies.pop(0)
        return reply if isinstance(reply, Reply) else Reply(reply)


def variable(name, value):
    return f'<variable name="{name}">\n{value}\n</variable>'


def stepped(replies, value="old", feedback="bad", **options):
    p = Parameter(value, "p", kind=options.pop("kind", "prompt"), **options)
    llm = Script(*replies)
    optimizer = OptoPrime([p], llm)
    optimizer.backward(p + "" if isinstance(value, str) else p + 0, feedback)
    return p, optimizer.step(), llm


# ------------------------------------------------------------------ reads its prompt


class Agent(Module):
    def __init__(self):
        self.tone = node("Answer politely.", trainable=True, name="tone")
        self.unit = node("Answer in feet.", trainable=True, name="unit")
        self.unused = node("Never read.", trainable=True, name="unused")

    def forward(self, question):
        return answer(question, measure(question, self.unit), self.tone)


@bundle
def measure(question, unit):
    """Measure the thing in a unit."""
    return f"{len(question)} {unit.split()[-1]}"


@bundle
def answer(question, length, tone):
    """Say it."""
    return f"It is {length}"


def attentive(messages):
    """Blames the variable that made the failing value; helpless if anything is missing."""
    system, user = messages[0]["content"], messages[-1]["content"]
    assert '<variable name="' in system  # the form of the answer was explained
    said = re.search(r"answer: score 0: wrong unit, use (\w+)", user)
    step = re.search(r"measure = measure\(question=\w+, unit=(\w+)\)\n    # gave 5 (\w+)\.", user)
    value = step and re.search(
        rf'<variable name="{step[1]}" kind="prompt">\n<value>\n(.*?)\n</value>', user, re.DOTALL
    )
    if not (said and value and "[measure] Measure the thing" in user):
        return "I cannot see what went wrong."
    better = value[1].replace(step[2], said[1])
    return f"<reasoning>the unit</reasoning>\n{variable(step[1], better)}"


def test_the_blamed_parameter_alone_is_changed():
    agent = Agent()
    optimizer = OptoPrime(agent.parameters(), CallableLLM(attentive))
    output = agent("tower")
    assert output.peek() == "It is 5 feet."
    optimizer.zero_feedback()
    optimizer.backward(output, (0.0, "wrong unit, use metres"))
    proposal = optimizer.step()
    assert proposal.state == {"unit": "Answer in metres."}
    assert proposal.reasoning == "the unit"
    assert proposal.optimizer == "optoprime"
    assert agent("tower").peek() == "It is 5 metres."
    assert agent.state_dict()["self:tone"] == "Answer politely."


def test_what_the_feedback_did_not_reach_is_not_shown():
    agent = Agent()
    llm = Script(variable("tone", "x"))
    optimizer = OptoPrime(agent.parameters(), llm)
    optimizer.backward(agent("tower"), "bad")
    optimizer.step()
    assert "Never read." not in llm.asked[0][1]["content"]
    assert "Answer politely." in llm.asked[0][1]["content"]


def test_all_runs_of_a_minibatch_are_shown_with_their_own_feedback():
    agent = Agent()
    llm = Script(variable("tone", "x"))
    optimizer = OptoPrime(agent.parameters(), llm)
    for number in range(3):
        optimizer.backward(agent("x" * (number + 1)), (number / 2, f"said of {number}"))
    optimizer.step()
    text = llm.asked[0][1]["content"]
    for number in range(3):
        assert f"# run {number + 1}" in text
        assert f"It is {number + 1} feet." in text
        assert f"score {number / 2:g}: said of {number}" in text


def test_masked_it_shows_no_operations_and_no_inputs():
    agent = Agent()
    llm = Script(variable("tone", "new"))
    optimizer = OptoPrime(agent.parameters(), llm, mask=True)
    optimizer.backward(agent("a tower of tens"), (0.0, "too long"))
    assert optimizer.step().state == {"tone": "new"}
    text = llm.asked[0][1]["content"]
    for shown in ("Answer politely.", "Answer in feet.", "It is 15 feet.", "score 0: too long"):
        assert shown in text
    for hidden in ("measure", "answer(", "Say it.", "a tower of tens"):
        assert hidden not in text
    assert optimizer.settings() != OptoPrime(agent.parameters(), llm).settings()


async def test_inside_a_running_event_loop():
    agent = Agent()
    optimizer = OptoPrime(agent.parameters(), CallableLLM(attentive))
    optimizer.backward(agent("tower"), (0.0, "wrong unit, use metres"))
    assert optimizer.step().state == {"unit": "Answer in metres."}


# ------------------------------------------------------------------ refused replies


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (variable("p", "old"), "is the value that it has"),
        (variable("q", "new"), "q is not one of the variables"),
        (variable("p", " "), "must not be empty"),
        ("I would not change it. TERMINATE", "suggests nothing"),
        (Reply(variable("p", "new"), finish_reason="length"), "cut off"),
        ('<variable name="p">\nhalf of it', "not closed"),
        ("<think>hm", "inside its thinking"),
    ],
)
def test_a_reply_that_cannot_be_used_is_told_once(bad, reason):
    p, proposal, llm = stepped([bad, variable("p", "new")])
    assert p.base == "new"
    assert proposal.changes == (Change("p", "old", "new"),)
    assert len(llm.asked) == 2
    *before, said, retry = llm.asked[1]
    assert before == llm.asked[0]
    assert said == {"role": "assistant", "content": bad.text if isinstance(bad, Reply) else bad}
    assert retry["role"] == "user"
    assert reason in retry["content"]


@pytest.mark.parametrize(
    "bad", ["nothing", '<variable name="p">half', Reply(variable("p", "x"), finish_reason="length")]
)
def test_a_second_bad_reply_leaves_everything_as_it_is(bad):
    p, proposal, llm = stepped([bad, bad])
    assert p.base == "old"
    assert proposal.state == {}
    assert proposal.reasoning  # says why
    assert llm.replies == []


def test_a_refusal_is_kept_with_its_reason():
    p, proposal, _ = stepped([variable("p", "old"), variable("nobody", "x")])
    assert p.base == "old"
    assert [(change.path, change.accepted, change.reason) for change in proposal.changes] == [
        ("nobody", False, "is not one of the variables")
    ]


def test_the_good_part_of_a_reply_is_used_when_the_retry_fails():
    p, proposal, _ = stepped([variable("p", "new") + variable("nobody", "x"), "nothing"])
    assert p.base == "new"
    assert [change.accepted for change in proposal.changes] == [True, False]


def test_what_was_good_the_first_time_is_not_lost_by_the_second_answer():
    first = variable("p", "new") + variable("q", "old q")
    p, q = Parameter("old", "p"), Parameter("old q", "q")
    optimizer = OptoPrime([p, q], Script(first, variable("q", "new q")))
    optimizer.backward(p + q, "x")
    optimizer.step()
    assert (p.base, q.base) == ("new", "new q")


@pytest.mark.parametrize(
    "value",
    [
        "Stop when you see TERMINATE.",
        "Answer in a block:\n```json\n{}\n```",
        "  indented\n\n  text  ",
        "Use </value> and <b>tags</b>",
        "definitely = 1",
        "<think>first</think> then <reasoning>why</reasoning>",
        "line\r\nends",
        "äöü 🎉",
    ],
)
def test_values_keep_their_bytes(value):
    p, _, llm = stepped([variable("p", value)])
    assert p.base == value
    assert len(llm.asked) == 1


@pytest.mark.parametrize(
    ("old", "reply", "expected", "kind"),
    [
        (3, "4", 4, "number"),
        (3, "four", 3, "number"),
        (True, "maybe", True, "value"),
        ([1], "[1, 2]", [1, 2], "value"),
        ([1], "abc", [1], "value"),
    ],
)
def test_typed_values(old, reply, expected, kind):
    p = Parameter(old, "p", kind=kind)
    made = bundle(str)(p)
    optimizer = OptoPrime([p], Script(variable("p", reply), "nothing"))
    optimizer.backward(made, "x")
    optimizer.step()
    assert p.base == expected
    assert type(p.base) is type(expected)


def test_code_is_checked_before_it_is_adopted():
    @bundle(trainable=True, unsafe=True)
    def act(x):
        return x

    llm = Script(
        variable("act_code", "```python\ndef act(x, y):\n    return y\n```"),
        variable("act_code", "```python\ndef act(x):\n    return x + 1\n```"),
    )
    optimizer = OptoPrime([act], llm)
    optimizer.backward(act(1), "one more")
    optimizer.step()
    assert "must keep the signature act(x)" in llm.asked[1][-1]["content"]
    assert act(1).peek() == 2


# ------------------------------------------------------------------ the rest


def test_earlier_candidates_are_shown_best_last():
    p = Parameter("now", "p")
    graph = (p + "").backward("x")
    history = [
        Trial(number, {"p": f"candidate {number}", "other": "secret"}, {0: score}, "dropped")
        for number, score in enumerate([0.5, 0.1, 0.9, 0.3])
    ]
    history.append(Trial(9, {"p": "unscored"}, {}, "dropped"))
    llm = Script(variable("p", "x"), variable("p", "x"))
    asyncio.run(OptoPrime(llm=llm, memory=2).propose([graph], [p], history))
    [_, user] = llm.asked[0]
    shown = user["content"].split("# tried before\n")[1].splitlines()
    assert shown == ["score 0.5: p = 'candidate 0'", "score 0.9: p = 'candidate 2'"]
    asyncio.run(OptoPrime(llm=llm, memory=0).propose([graph], [p], history))
    assert "tried before" not in llm.asked[1][1]["content"]


def test_what_failed_on_a_minibatch_is_shown_with_what_was_said_of_it():
    p = Parameter("now", "p")
    said = (Feedback("far too loud", 0.0),)
    failed = [Trial(n, {"p": f"loud {n}"}, {}, "worse", feedback=said) for n in range(3)]
    llm = Script(variable("p", "x"))
    asyncio.run(OptoPrime(llm=llm, memory=2).propose([(p + "").backward("x")], [p], failed))
    shown = llm.asked[0][1]["content"].split("# tried before\n")[1].splitlines()
    line = "score 0 on a few examples: p = 'loud {}'; said of it: 'far too loud'"
    assert shown == [line.format(1), line.format(2)]


def test_long_values_are_cut_in_the_prompt_but_the_variable_is_whole():
    text = "y" * 9000
    _, _, llm = stepped([variable("p", "new")], value=text)
    prompt = llm.asked[0][1]["content"]
    assert text in prompt
    assert "characters left out" in prompt
    assert len(prompt) < 12_000


def test_huge_values_and_graphs_keep_the_prompt_within_its_budget():
    p = Parameter("Be brief.", "p")
    graphs = []
    for _ in range(3):
        end = p + "z" * 200_000
        for _ in range(5000):
            end = answer("how high", measure(end, p), p)
        graphs.append(end.backward((0.0, "far too long")))
    said = (Feedback("w" * 50_000, 0.0),)
    history = [Trial(n, {"p": f"{n}" * 9000}, {0: 0.1}, "dropped", feedback=said) for n in range(9)]
    llm = Script(variable("p", "x"))
    asyncio.run(OptoPrime(llm=llm, budget=20_000).propose(graphs, [p], history))
    text = "".join(message["content"] for message in llm.asked[0])
    assert 8000 < len(text) <= 20_000
    for needed in ("Be brief.", "far too long", "characters left out", "score 0.1: p = '"):
        assert needed in text
    assert text.count("# the same 3 steps 4998 more times:\n") == 3


# ------------------------------------------------------------------ a fault in a loop


@bundle
def read(place, turn):
    """Read the gauge at a place."""
    return f"gauge {turn} near {place[:5]} shows {turn + 3} {'ft' if turn == 29 else 'm'}"


@bundle
def convert(reading, rule):
    """Convert a reading to metres, by the rule."""
    *_, number, unit = reading.split()
    return int(number) if unit in rule.split() else None


@bundle
def walk(place, length):
    """Go on to the next gauge."""
    return f"place {len(place)}, after a walk along the river, " + "with much to see, " * 40


@bundle
def report(place, rule):
    """Add up the readings."""
    return "no total"


def reader(prompt):
    """Mends the rule if it sees which reading was not converted, in full, and how it was made."""
    failed = re.search(
        r"^(read\w*) = read\(place=walk\w*, turn=turn\w*\)\n    # gave gauge \d+ near \w+ shows "
        r"(\d+) (\w+)\nconvert\w* = convert\(reading=\1, rule=rule\)\n    # gave null$",
        prompt,
        re.MULTILINE,
    )
    rule = re.search(r'<variable name="rule" kind="prompt">\n<value>\n(.*)\n</value>', prompt)
    if not (failed and rule and "report: score 0: a reading is missing" in prompt):
        return None
    return f"<reasoning>{failed[1]}</reasoning>" + variable("rule", f"{rule[1]} or {failed[3]}")


@pytest.mark.parametrize("budget", [9000, 60_000])
def test_a_fault_in_the_30th_of_50_turns_is_found(budget):
    rule = Parameter("Take m", "rule")
    place = node("start")
    for turn in range(50):
        place = walk(place, convert(read(place, node(turn, name="turn")), rule))
    llm = ScriptedLLM(reader)
    optimizer = OptoPrime([rule], llm, budget=budget)
    optimizer.backward(report(place, rule), (0.0, "a reading is missing"))
    assert optimizer.step().state == {"rule": "Take m or ft"}
    [call] = llm.calls
    assert len(call.prompt) <= budget + 100  # the roles' names
    assert ("# the same 4 steps" in call.prompt) == (budget == 9000)
    assert len(call.prompt) > 6000


def test_several_proposals():
    p = Parameter("old", "p")
    graph = (p + "").backward("x")
    llm = Script(*(variable("p", f"new {number}") for number in range(3)))
    found = asyncio.run(OptoPrime(llm=llm).propose([graph], [p], [], n=3))
    assert [proposal.state["p"] for proposal in found] == ["new 0", "new 1", "new 2"]
    assert p.base == "old"  # a proposal changes nothing


def test_demos_are_left_to_others():
    p = Parameter([], "p", kind="demos")
    graph = bundle(str)(p).backward("x")
    assert asyncio.run(OptoPrime(llm=Script()).propose([graph], [p], [])) == []


def test_without_a_model():
    p = Parameter("old", "p")
    optimizer = OptoPrime([p])
    optimizer.backward(p + "", "x")
    with pytest.raises(ValueError, match="three ways: pass llm="):
        optimizer.step()


def test_a_model_that_fails_changes_nothing_and_can_be_tried_again(monkeypatch):
    monkeypatch.setattr(retrying, "_FIRST", 0.0)
    failures = iter([ConnectionError("down")] * 4)

    def failing(messages):
        for failure in failures:
            raise failure
        return variable("p", "newer")

    p = Parameter("old", "p")
    optimizer = OptoPrime([p], CallableLLM(failing))
    optimizer.backward(p + "", "x")
    with pytest.raises(ModelUnavailableError, match="down"):
        optimizer.step()
    assert p.base == "old"
    assert len(list(optimizer.parameters[0].feedback)) == 1
    optimizer.step()  # which fails once
    assert p.base == "newer"


def test_settings_key_what_determines_a_proposal():
    base = OptoPrime(llm=Script())
    others = [OptoPrime(llm=Script(), **{name: 9}) for name in ("memory", "minibatch", "limit")]
    settings = [dict(item.settings()) for item in [base, *others]]
    assert all(settings[0] != other for other in settings[1:])
    assert settings[0]["model"] == "script"
    assert base.plan([]).minibatch == 6


def test_the_model_of_the_environment_is_the_default(monkeypatch):
    p = Parameter("old", "p")
    model = Script(variable("p", "new"))
    monkeypatch.setattr("trace_bridge.llm.lite.LiteLLM", lambda name: asked.append(name) or model)
    asked = []
    optimizer = OptoPrime([p])
    optimizer.backward(p + "!", "wrong")
    monkeypatch.delenv("TRACE_BRIDGE_MODEL", raising=False)
    with pytest.raises(ValueError, match="variable TRACE_BRIDGE_MODEL"):
        optimizer.step()
    monkeypatch.setenv("TRACE_BRIDGE_MODEL", "some/model")
    optimizer.step()
    assert (p.base, asked) == ("new", ["some/model"])


@pytest.mark.parametrize("examples", [1, 3, 20])
@pytest.mark.parametrize("k", [1, 8])
def test_a_step_is_one_call_however_many_examples_and_parameters(examples, k):
    parameters = [Parameter(f"text {number}", f"p{number}") for number in range(k)]
    llm = Script("".join(variable(p.name, "new") for p in parameters))
    optimizer = OptoPrime(parameters, llm)
    for number in range(examples):
        optimizer.backward(
            bundle(lambda *texts: "".join(texts))(*parameters), (0.0, f"bad {number}")
        )
    assert set(optimizer.step().state.values()) == {"new"}
    assert len(llm.asked) == 1
    assert all(f"bad {number}" in llm.asked[0][1]["content"] for number in range(examples))
