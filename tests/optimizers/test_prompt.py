import keyword

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_bridge.graph import Feedback, Module, Parameter, bundle, node, subgraph
from trace_bridge.optimizers.prompt import Program, shortened


@given(st.text(), st.integers(1, 50))
def test_shortened_cuts_the_middle_and_marks_it(text, limit):
    short = shortened(text, limit)
    if len(text) <= limit:
        assert short == text
        return
    head, _, tail = short.partition(f" …[{len(text) - limit} characters left out]… ")
    assert text.startswith(head)
    assert text.endswith(tail)
    assert len(head) + len(tail) == limit


@given(st.lists(st.text(st.sampled_from("ab:/ 0_é-"), max_size=4), max_size=8))
def test_identifiers_are_unique_and_identifiers(names):
    parameters = [Parameter("x", name) for name in names]
    program = Program(parameters)
    found = [program._names[parameter] for parameter in parameters]
    assert len(set(found)) == len(found)
    assert all(name.isidentifier() and not keyword.iskeyword(name) for name in found)
    for parameter, name in zip(parameters, found, strict=True):
        assert program.parameter_named(name) is parameter


def test_names_that_upstream_ran_together_stay_apart():
    parameters = [Parameter("x", name) for name in ("zz1:0", "zz:10", "zz1/0", "class", "1st")]
    program = Program(parameters)
    assert [program._names[p] for p in parameters] == [
        "zz1_0", "zz_10", "zz1_0_1", "v_class", "v_1st",
    ]  # fmt: skip


def test_a_parameter_is_found_by_identifier_and_by_path():
    p = Parameter("x", "qa/answer:instructions")
    program = Program([p])
    assert program.parameter_named("qa_answer_instructions") is p
    assert program.parameter_named("qa/answer:instructions") is p
    assert program.parameter_named("qa") is None


@bundle
def judged(text, rule):
    """Judge the text
    by the rule."""
    return f"{text} {rule}"


@bundle
def made(start):
    return f"{start}!"


def run():
    p = Parameter("be short", "p", description="the prompt", constraint="keep {x}")
    q = Parameter("a rule", "q")
    output = judged(made(p), q)
    return p, q, output


def test_variables_show_what_is_to_be_respected_and_the_value_in_full():
    long = "x" * 10_000
    p = Parameter(long, "p", description="the prompt", constraint="keep {x}")
    n = Parameter(1, "n", kind="number")
    text = Program([p, n], limit=10).variables()
    assert "<about>the prompt</about>" in text
    assert "<constraint>keep {x}</constraint>" in text
    assert f"<value>\n{long}\n</value>" in text
    assert '<variable name="n" kind="number">\n<value>\n1\n</value>' in text


def test_a_run_is_a_program_with_its_values_and_the_feedback():
    p, q, output = run()
    graph = subgraph({output: Feedback("too long", 0.25)})
    program = Program([p, q])
    assert program.trace(graph) == (
        "made = made(start=p)\n"
        "    # gave be short!\n"
        "judged = judged(text=made, rule=q)\n"
        "    # gave be short! a rule\n"
        "<feedback>\n"
        "judged: score 0.25: too long\n"
        "</feedback>"
    )


def test_definitions_each_once():
    p, q, output = run()
    graph = subgraph({output: Feedback("x")})
    assert Program([p, q]).definitions([graph, graph]) == "[judged] Judge the text by the rule."


def test_a_parameter_that_is_not_trained_is_an_input():
    p, _, output = run()
    text = Program([p]).trace(subgraph({output: Feedback("x")}))
    assert "q = a rule" in text


def test_a_parameter_that_is_not_trained_is_shown_with_the_value_of_that_run():
    class Agent(Module):
        def __init__(self):
            self.p = Parameter("prompt")
            self.q = Parameter("base")

    agent = Agent()
    agent.parameters()
    with agent.using({"self:q": "of that run"}):
        graph = subgraph({judged(agent.p, agent.q): Feedback("x")})
    assert "self_q = of that run" in Program([agent.p]).trace(graph)


def test_identifiers_are_unique_over_several_runs():
    p, q, first = run()
    second = judged(made(p), q)
    program = Program([p, q])
    texts = [program.trace(subgraph({output: Feedback("x")})) for output in (first, second)]
    assert texts[0].startswith("made = ")
    assert texts[1].startswith("made_1 = ")
    assert "judged_1: x" in texts[1]


def test_a_node_that_two_runs_share_is_shown_once():
    p = Parameter("x", "p")
    shared = made(p)
    program = Program([p])
    texts = [program.trace(subgraph({shared + end: Feedback("x")})) for end in ("1", "2")]
    assert texts[0].count("made(start=p)") == 1
    assert texts[1].count("made(start=p)") == 0
    assert "(made, constant_1)" in texts[1]


def test_long_values_of_a_run_are_cut_in_the_middle():
    p = Parameter("a" * 500 + "b" * 500, "p")
    text = Program([p], limit=100).trace(subgraph({made(p): Feedback("x")}))
    assert "[901 characters left out]" in text
    assert len(text) < 300


def test_edges_that_were_left_out_are_not_shown():
    p, _, output = run()
    graph = subgraph({output: Feedback("x")}, lambda item, at: item.edges[at].label != "rule")
    assert "judged(text=made)" in Program([p]).trace(graph)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("text", "text"),
        (3, "3"),
        ({"b": 1, "a": [None]}, '{"a":[null],"b":1}'),
        (object(), '"<object>"'),
    ],
)
def test_values_are_shown_without_noise(value, shown):
    p = node("x", trainable=True, name="p")
    output = judged(p, node(value, name="given"))
    assert f"given = {shown}\n" in Program([p]).trace(subgraph({output: Feedback("?")}))


def test_trainable_code_is_called_by_its_own_name():
    @bundle(trainable=True)
    def act(plan):
        """Follow the plan."""
        return plan

    output = act("north")
    program = Program(act.parameters())
    assert "act(plan=plan," in program.trace(subgraph({output: Feedback("x")}))
    assert "def act(plan):" in program.variables()
