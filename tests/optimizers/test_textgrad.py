"""TextGrad, with a critic that can only pass on what it reads, and an updater that obeys it."""

import asyncio
import re

import pytest

from trace_bridge.graph import Module, Parameter, bundle, node
from trace_bridge.llm import retrying
from trace_bridge.llm.base import ModelUnavailableError
from trace_bridge.optimizers.textgrad import TextGrad
from trace_bridge.testing import ScriptedLLM


class Agent(Module):
    def __init__(self):
        self.tone = node("Answer politely.", trainable=True, name="tone")
        self.unit = node("Answer in feet.", trainable=True, name="unit")

    def forward(self, question):
        return answer(shorten(question), measure(question, self.unit), self.tone)


@bundle
def shorten(question):
    """On no path from a parameter."""
    return question[:3]


@bundle
def measure(question, unit):
    """Measure the thing in a unit."""
    return f"{len(question)} {unit.split()[-1]}"


@bundle
def answer(question, length, tone):
    """Say it."""
    return f"It is {length}"


def section(prompt, title):
    return prompt.partition(f"# {title}\n")[2].partition("\n\n# ")[0]


def attentive(prompt):
    """Criticises the input whose value shows up in a bad output; rewrites as criticism says."""
    if "# criticism" in prompt:
        found = re.search(r"<criticism>\nsay (\w+), not (\w+)\n</criticism>", prompt)
        value = re.search(r'name="(\w+)" kind="prompt">\n<value>\n(.*?)\n</value>', prompt)
        if not (found and value):
            return None
        return f'<variable name="{value[1]}">{value[2].replace(found[2], found[1])}</variable>'
    said = section(prompt, "said of the output")
    wanted = re.search(r"wrong unit, use (\w+)|say (\w+), not", said)
    unit = re.search(r"\d+ (\w+)", section(prompt, "output"))
    if not (wanted and unit):
        return None
    asked = section(prompt, "inputs that you are asked about").split(", ")
    values = dict(
        re.findall(r'<input name="(\w+)">\n(.*?)\n</input>', section(prompt, "inputs"), re.DOTALL)
    )
    text = f"say {wanted[1] or wanted[2]}, not {unit[1]}"
    blamed = [name for name in asked if unit[1] in values[name]]
    return "\n".join(f'<variable name="{name}">{text}</variable>' for name in blamed)


def run(*feedback, **options):
    agent, llm = Agent(), ScriptedLLM(attentive)
    optimizer = TextGrad(agent.parameters(), llm, **options)
    for question, given in feedback:
        optimizer.backward(agent(question), given)
    return agent, optimizer, llm


def test_criticism_travels_back_to_the_parameter_that_is_to_blame():
    agent, optimizer, llm = run(("tower", (0.0, "wrong unit, use metres")))
    proposal = optimizer.step()
    assert proposal.state == {"unit": "Answer in metres."}
    assert proposal.optimizer == "textgrad"
    assert agent("tower").peek() == "It is 5 metres."
    assert agent.tone.peek() == "Answer politely."
    # answer, measure, and the one parameter that was criticised
    assert len(llm.calls) == 3


def test_steps_in_pytorch_words_until_it_is_right():
    agent, optimizer, llm = run(("tower", "wrong unit, use metres"))
    optimizer.step()
    for unit in ("yards", "miles"):
        optimizer.zero_feedback()
        optimizer.backward(agent("tower"), f"wrong unit, use {unit}")
        optimizer.step()
    assert agent("tower").peek() == "It is 5 miles."
    assert len(llm.calls) == 9


def test_what_leads_to_no_parameter_is_not_asked_about():
    _, optimizer, llm = run(("tower", "wrong unit, use metres"))
    optimizer.step()
    first, second = llm.calls[0].prompt, llm.calls[1].prompt
    assert section(first, "step") == "answer(question, length, tone)\nSay it."
    assert section(first, "inputs that you are asked about") == "length, tone"
    assert '<input name="question">\ntow\n</input>' in first  # shown all the same
    assert section(second, "step").startswith("measure(question, unit)")
    assert section(second, "inputs that you are asked about") == "unit"
    assert not any("On no path" in section(c.prompt, "step") for c in llm.calls)


def test_criticism_of_all_runs_meets_in_one_update_per_parameter():
    said = [(f"{'x' * i} tower", (0.0, "wrong unit, use metres")) for i in range(3)]
    _, optimizer, llm = run(*said)
    assert optimizer.step().state
    [update] = [call.prompt for call in llm.calls if "# criticism" in call.prompt]
    assert update.count("say metres, not feet") == 3
    assert len(llm.calls) == 3 * 2 + 1


def test_runs_that_are_good_enough_are_not_asked_about():
    _, optimizer, llm = run(("tower", 1.0), ("church", (0.0, "wrong unit, use metres")))
    optimizer.step()
    assert len(llm.calls) == 3
    _, optimizer, llm = run(("tower", 1.0))
    assert optimizer.step().changes == ()
    assert llm.calls == []
    _, optimizer, llm = run(("tower", (0.6, "wrong unit, use metres")), threshold=0.5)
    optimizer.step()
    assert llm.calls == []


def test_a_node_that_is_used_twice_is_criticised_once_by_all_its_users():
    p = Parameter("Answer in feet.", "p")
    length = measure("tower", p)
    output = answer("q", length, length + "!")
    llm = ScriptedLLM(
        lambda prompt: "be brief" if "# said" in prompt else '<variable name="p">New.</variable>'
    )
    optimizer = TextGrad([p], llm)
    optimizer.backward(output, "bad")
    assert optimizer.step().state == {"p": "New."}
    assert len(llm.calls) == 4  # answer, +, measure, the update
    [critic] = [c.prompt for c in llm.calls if section(c.prompt, "step").startswith("measure")]
    assert section(critic, "said of the output") == "- be brief\n- be brief"


def test_inputs_of_equal_names_are_told_apart():
    first, second = Parameter("a", "p"), Parameter("b", "p_2")
    third = Parameter("c", "p")
    llm = ScriptedLLM(lambda prompt: "" if "# said" in prompt else None)
    graph = joined([first, second, third]).backward("bad")
    asyncio.run(TextGrad(llm=llm).propose([graph], [first, second, third], []))
    names = section(llm.calls[0].prompt, "inputs that you are asked about").split(", ")
    assert len(set(names)) == 3
    shown = section(llm.calls[0].prompt, "inputs")
    for name, value in zip(names, "abc", strict=True):
        assert f'<input name="{name}">\n{value}\n' in shown


@bundle
def joined(parts):
    return "".join(parts)


@pytest.mark.parametrize(
    "said", ["<think>hm</think> too vague", '<variable name="self_p">too vague</variable>']
)
def test_criticism_without_tags_that_fit_counts_for_all_that_was_asked_about(said):
    p, q = Parameter("a", "p"), Parameter("b", "q")
    llm = ScriptedLLM(lambda prompt: None if "# criticism" in prompt else said)
    graph = joined([p, q]).backward("bad")
    [proposal] = asyncio.run(TextGrad(llm=llm).propose([graph], [p, q], []))
    assert proposal.state == {}
    assert proposal.reasoning.count("suggests nothing") == 1
    updates = [call.prompt for call in llm.calls if "# criticism" in call.prompt]
    assert len(updates) == 4  # what cannot be used is told once
    assert all("too vague" in update for update in updates)


def test_an_empty_answer_is_no_criticism():
    p = Parameter("a", "p")
    llm = ScriptedLLM(lambda _: " ")
    [proposal] = asyncio.run(TextGrad(llm=llm).propose([(p + "!").backward("bad")], [p], []))
    assert proposal.changes == ()
    assert proposal.reasoning == "the critic said nothing of any variable"
    assert len(llm.calls) == 1


def test_parameters_that_are_not_to_be_changed_are_inputs_only():
    agent, llm = Agent(), ScriptedLLM(attentive)
    graph = agent("tower").backward((0.0, "wrong unit, use metres"))
    [proposal] = asyncio.run(TextGrad(llm=llm).propose([graph], [agent.tone], []))
    assert proposal.changes == ()
    assert len(llm.calls) == 1  # answer; measure leads to no parameter that may change
    assert section(llm.calls[0].prompt, "inputs that you are asked about") == "tone"


def test_several_proposals_share_the_criticism():
    agent, llm = Agent(), ScriptedLLM(attentive)
    graph = agent("tower").backward((0.0, "wrong unit, use metres"))
    found = asyncio.run(TextGrad(llm=llm).propose([graph], agent.parameters(), [], 3))
    assert len(found) == 3
    assert len(llm.calls) == 2 + 3


def test_a_provider_that_fails_ends_the_step_when_all_calls_have_ended(monkeypatch):
    monkeypatch.setattr(retrying, "_FIRST", 0.0)
    agent = Agent()
    llm = ScriptedLLM().when("tower", reply=OSError("down"))
    optimizer = TextGrad(agent.parameters(), llm)
    for question in ("tower", "church", "tower"):
        optimizer.backward(agent(question), "bad")
    with pytest.raises(ModelUnavailableError, match="down"):
        optimizer.step()
    assert len(llm.calls) >= 3
    assert agent.unit.peek() == "Answer in feet."


def test_what_is_to_be_respected_reaches_critic_and_updater():
    p = Parameter("a", "p", description="the prompt", constraint="keep {x}")
    llm = ScriptedLLM().when("# said", "keep {x}", "the prompt", reply="wrong")
    llm.when("# criticism\n<criticism>\nwrong", "keep {x}", reply='<variable name="p">b</variable>')
    [found] = asyncio.run(TextGrad(llm=llm).propose([(p + "!").backward("bad")], [p], []))
    assert found.state == {"p": "b"}


def test_its_plan_and_settings():
    plan = TextGrad(minibatch=2).plan([])
    assert (plan.optimizer, plan.minibatch, plan.proposals, plan.gated) == ("textgrad", 2, 1, True)
    assert TextGrad(threshold=0.5).settings() != TextGrad().settings()
