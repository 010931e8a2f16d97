"""Loops of a run in a prompt: what is folded, what stays, and that nothing is lost by it."""

import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_bridge.graph import Edge, Evidence, Feedback, Node, Parameter, node, subgraph
from trace_bridge.graph.folding import column
from trace_bridge.graph.program import Program

RANGE = re.compile(r"\b(\w+?)(?:_(\d+))?(?:, \1_(\d+))? \.\. \1_(\d+)\b")
MARK = re.compile(r"# the same (?:step|\d+ steps) (\d+) more times:")
BEFORE = "what the one before was given"


def step(data, op, *parents, **named):
    edges = [Edge(parent, "", Evidence.ARGUMENT) for parent in parents]
    return Node(data, op, edges, **named)


def heads(lines):
    """The steps of a program's lines, without values and what belongs to these."""
    found = [line for line in lines if re.match(r"\w+ = ", line)]
    return [line if line.endswith(")") else line.split(" = ")[0] for line in found]


def unfolded(text):
    """The steps that a text tells of, those of loops each by itself."""
    found, block, times = [], [], 0
    for line in [*text.splitlines(), "# the end"]:
        if line.startswith("#   "):
            block += [] if line[4] == " " else [line[4:]]
            continue
        for number in range(times):
            for head in block:
                turn = RANGE.sub(lambda match, at=number: nth(match, at), head)
                turn = re.sub(r"\[.*?\]", lambda m, at=number: str(json.loads(m[0])[at]), turn)
                if BEFORE in turn:
                    turn = turn.replace(BEFORE, re.search(r"\((.*)\)", found[-len(block)])[1])
                found += heads([turn])
        mark = MARK.fullmatch(line)
        block, times = [], int(mark[1]) if mark else 0
        found += heads([line])
    return found


def nth(match, number):
    """A name out of a range, which must not end before."""
    base, first, second, last = match.groups()
    first = int(first or 0)
    place = first + number * (int(second) - first if second else 1)
    assert place <= int(last)
    return f"{base}_{place}" if place else base


def whole(graph, parameters, outputs_first=True):
    """All steps; outputs are named first where there is a budget that counts."""
    program = Program(parameters)
    if outputs_first:
        program._said(graph)
    return heads("\n".join(program._steps(graph)).splitlines())


def left_out(text):
    return sum(map(int, re.findall(r"^# \.\.\. (\d+) steps left out$", text, re.MULTILINE)))


# ------------------------------------------------------------------ what it looks like


def test_a_loop_is_shown_by_its_first_and_last_turn_and_the_values_of_the_others():
    p = node(1, trainable=True, name="p")
    end = p
    for _ in range(30):
        end = (end + p) * 1
    text = end.backward("too far").to_program(budget=1000)
    assert text.split("# run 1\n")[1] == (
        "add = add(p, p)\n"
        "    # gave 2\n"
        "multiply_1 = multiply(add, 1)\n"
        "    # gave 2\n"
        "add_1 = add(multiply_1, p)\n"
        "    # gave 3\n"
        "# the same 2 steps 27 more times:\n"
        "#   multiply_2 .. multiply_28 = multiply(add_1 .. add_27, 1)\n"
        "#     gave [3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29]\n"
        "#   add_2 .. add_28 = add(multiply_2 .. multiply_28, p)\n"
        "#     gave [4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30]\n"
        "multiply_29 = multiply(add_28, 1)\n"
        "    # gave 30\n"
        "add_29 = add(multiply_29, p)\n"
        "    # gave 31\n"
        "multiply = multiply(add_29, 1)\n"
        "    # gave 31\n"
        "<feedback>\n"
        "multiply: too far\n"
        "</feedback>"
    )


def test_operations_that_are_in_a_block_twice_and_numbers_that_differ():
    p = node(1, trainable=True, name="p")
    end = p
    for turn in range(40):
        end = (end + turn + 1) * p
    graph = end.backward("?")
    text = graph.to_program(budget=1200)
    assert (
        "#   add_3, add_5 .. add_75 = add(add_2, add_4 .. add_74, 1)\n#     gave [4,7,11," in text
    )
    assert "#   add_4, add_6 .. add_76 = add(multiply_2 .. multiply_38, [2,3,4,5,6,7,8," in text


def test_what_fits_is_not_folded():
    p = node(1, trainable=True, name="p")
    end = p
    for _ in range(100):
        end = end + p
    graph = end.backward("?")
    text = graph.to_program()
    assert graph.to_program(budget=len(text)) == text
    assert "the same" not in text


def test_values_are_shortened_as_long_as_they_can_be_read_before_loops_are_folded():
    p = Parameter("p", "p")
    end = p
    for turn in range(20):
        end = step(f"{turn} " + "long " * 400, "made", end)
    graph = end.backward("?")
    assert "the same" not in graph.to_program(budget=9000)
    text = graph.to_program(budget=4000)
    assert "# the same step 17 more times:\n#   made_3 .. made_19 = made(made_2 .. made_18)" in text
    assert 3900 < len(text) <= 4000


def test_a_conversation_in_which_each_turn_is_given_all_that_was_said():
    p = Parameter("Be brief.", "p")
    said = [p, node("hello")]
    for turn in range(30):
        said.append(step(f"answer {turn} " + "word " * 30, "answer", *said))
        said.append(step(f"question {turn}", "ask", said[-1]))
    graph = step("end", "judge", said[-1]).backward("?")
    text = graph.to_program(budget=3000)
    assert (
        "#   answer_1 .. answer_28 = answer(what the one before was given, answer, answer_1 .. "
        "answer_27, ask, ask_1 .. ask_27)\n"
    ) in text
    found, steps = unfolded(text), whole(graph, [p])
    assert len(found) == len(steps)
    assert all(one == other or "…" in one for one, other in zip(found, steps, strict=True))


def test_a_loop_in_a_loop():
    p = node(1, trainable=True, name="p")
    end = p
    for turn in range(30):
        for _ in range(6):
            end = step(turn, "try", end, p)
        end = step(turn, "done", end)
    graph = end.backward("?")
    text = graph.to_program(budget=3000)
    assert "# the same 7 steps 27 more times:" in text
    assert unfolded(text) == whole(graph, [p])


def test_steps_that_one_feedback_is_about_and_inputs_are_folded_too():
    p = node(1, trainable=True, name="p")
    end = step("x", "join", p, *[step(f"input {turn}", "read") for turn in range(200)])
    text = end.backward("?").to_program(budget=1500)
    assert '#   read_1 .. read_198 = ["input 1","input 2",' in text


def test_values_that_do_not_differ_are_told_once():
    p = node(1, trainable=True, name="p")
    end = p
    for turn in range(100):
        end = step("same\nagain" if turn else "first", "made", end)
    text = end.backward("?").to_program(budget=600)
    assert "#     gave same\n#       again each time\n" in text


def test_names_that_make_no_range_are_not_folded():
    p = node(1, trainable=True, name="p")
    end = p
    for turn in range(100):
        end = step(turn, "made", end)
        if turn % 3 == 0:
            p = step(0, "other", p, name=f"made_{turn + 2}")
    end = step(0, "both", end, p)
    text = end.backward("?").to_program(budget=1500)
    assert "the same" not in text
    assert left_out(text)


def test_turns_that_are_given_more_and_more_but_not_evenly_are_not_folded():
    p = Parameter("v", "p")
    said = [p]
    for turn in range(60):
        given = [*said, p] if turn % 3 else said
        said = [*given, step(turn, "answer", *given)]
    text = said[-1].backward("?").to_program(budget=2000)
    assert "the same" not in text
    assert left_out(text)


def test_edges_that_were_left_out_are_not_shown_in_a_loop_either():
    p, x = node(1, trainable=True, name="p"), node("x", name="x")
    end = p
    for turn in range(100):
        end = Node(turn, "made", [Edge(end, "a", Evidence.TEXT), Edge(x, "b", Evidence.READ)])
    graph = subgraph({end: Feedback("?")}, lambda item, at: item.edges[at].label == "a")
    text = graph.to_program(budget=900)
    assert "= made(a=made_2 .. made_98)\n" in text
    assert "b=" not in text


def test_loops_are_told_before_their_first_and_last_turns():
    p = Parameter("v", "p")
    end = p
    for turn in range(50):
        for name in "abcdefgh":
            end = step(f"{turn} {name} " + "word " * 20, name * 20, end, p)
    graph = end.backward("?")
    text = graph.to_program(budget=2500)
    assert "# the same 8 steps 47 more times:" in text
    assert left_out(text)
    assert "the same" not in graph.to_program(budget=900)  # there is no room even for that


# ------------------------------------------------------------------ what stays whole


def looped(values, said="?", about=None):
    p = node(1, trainable=True, name="p")
    ends = [p]
    for value in values:
        ends.append(step(value, "made", step("thought", "think", ends[-1])))
    given = {ends[-1]: Feedback(said)}
    if about is not None:
        given[ends[about + 1]] = Feedback("this one")
    return subgraph(given)


@pytest.mark.parametrize(
    "odd",
    [
        None, "", "(KeyError) 'x'\nfind(x)  # <-- KeyError", "ConnectionError: no gauge",
        "Execution error in measure: no gauge", 7, True, [], {"a": 1}, "it was in feet",
    ],
)  # fmt: skip
def test_a_turn_that_is_unlike_the_others_stays_as_it_is(odd):
    values = [f"measured in metres {turn}" for turn in range(50)]
    values[30] = odd
    graph = looped(values, "why are there feet in it")
    text = graph.to_program(budget=1500)
    assert "made_31 = made(think_30)\n    # gave " in text
    assert "\n# the same 2 steps 29 more times:\n" in text
    assert "\n# the same 2 steps 17 more times:\n" in text
    assert unfolded(text) == whole(graph, graph.parameters)


@pytest.mark.parametrize(("usual", "odd"), [(3, -3), (3, 0), (-0.5, math.nan), ([1], []), (1, 1.0)])
def test_numbers_and_containers_that_are_unlike_the_others(usual, odd):
    text = looped([usual] * 20 + [odd] + [usual] * 29).to_program(budget=900)
    assert "made_21 = made(think_20)\n    # gave " in text


def test_what_got_feedback_of_its_own_stays_as_it_is():
    text = looped(["the same"] * 50, about=30).to_program(budget=900)
    assert "\nmade_1 = made(think_30)\n    # gave the same\n" in text  # outputs are named first


def test_the_first_turn_that_shows_something_new_stays_as_it_is():
    values = [f"at {turn}" + " feet" * (turn > 30) for turn in range(50)]
    text = looped(values, "no feet, please").to_program(budget=1200)
    assert "made_32 = made(think_31)\n    # gave at 31 feet\n" in text


def test_failures_are_told_before_what_is_merely_rare():
    values = ["fine"] * 200
    for turn in range(40, 80):
        values[turn] = f"word{turn} fine"
    values[150] = "(ValueError) no"
    said = " ".join(f"word{turn}" for turn in range(40, 80))
    text = looped(values, said).to_program(budget=1800)
    assert "made_151 = made(think_150)\n    # gave (ValueError) no\n" in text
    assert "the same 2 steps" in text


def test_failures_are_told_even_if_there_are_many():
    values = [f"Error: no gauge {turn}" if turn % 3 == 1 else "fine" for turn in range(60)]
    text = looped(values).to_program(budget=2000)
    assert text.count("\n    # gave Error: no gauge") >= 4
    assert len(text) <= 2000


# ------------------------------------------------------------------ laws


@st.composite
def runs(draw):
    """Loops of all sorts of blocks, with other steps between them."""
    p, x = Parameter("v", "p"), node("an input", name="x")
    nodes = [p]
    values = st.sampled_from([1, 2, None, "text", "long text " * 30, [1, 2], "a\nb"])
    for _ in range(draw(st.integers(1, 3))):
        block = draw(
            st.lists(
                st.tuples(
                    st.sampled_from("abc"),
                    st.sampled_from(["p", "x", "number", "count", "back", ""]),
                    st.integers(2, 6),
                    st.booleans(),
                ),
                min_size=1,
                max_size=4,
            )
        )
        for turn in range(draw(st.integers(1, 20))):
            for op, reads, back, varies in block:
                read = {
                    "p": [p], "x": [x], "back": nodes[-back:][:1], "": [],
                    "number": [Node(back, "constant")], "count": [Node(turn, "constant")],
                }[reads]  # fmt: skip
                data = draw(values) if varies else turn
                nodes.append(step(data, op, nodes[-1], *read))
        nodes.append(step("other", f"between{len(nodes)}", nodes[-1]))
    about = draw(st.sampled_from(nodes[1:]))
    return p, subgraph({nodes[-1]: Feedback("said text"), about: Feedback("of this")})


@given(runs(), st.floats(0.1, 1.0))
def test_unfolding_gives_all_steps_and_what_is_shown_is_a_part_of_them(run, part):
    p, graph = run
    budget = int(len(Program([p]).text([graph])) * part)
    text = Program([p]).text([graph], budget)
    steps = whole(graph, [p], outputs_first=part < 1)
    assert len(text) <= max(budget, len(Program([p]).variables()) + budget // 4 + 300)
    assert Program([p]).text([graph], budget) == text
    found = unfolded(text)
    assert len(found) + left_out(text) == len(steps)
    if left_out(text):
        rest = iter(steps)
        assert all(line in rest for line in found)  # a subsequence
    else:
        assert found == steps


@given(st.lists(st.integers(0, 5), max_size=60), st.integers(150, 3000))
def test_without_repeats_nothing_is_folded(reads, budget):
    nodes = [node(1, trainable=True, name="p")]
    for number, back in enumerate(reads):
        nodes.append(step("v" * 40, f"op{number}", nodes[-1], *nodes[-back:][:1]))
    text = nodes[-1].backward("?").to_program(budget=budget)
    assert "the same" not in text


@given(
    st.lists(st.one_of(st.text(max_size=50), st.integers(), st.lists(st.none())), min_size=2),
    st.integers(0, 500),
)
def test_the_values_of_a_loop_fit_their_room(values, room):
    text = column(values, room, 100)
    assert len(text) <= room
    if len(str(values)) + 40 * len(values) < room and len({str(value) for value in values}) > 1:
        assert json.loads(text) == values


def test_each_value_of_a_loop_is_seen_where_there_is_room_for_a_part_of_it():
    text = column([f"{number} " + "w" * 500 for number in range(40)], 1200, 2000)
    assert len(json.loads(text)) == 40
    assert len(text) > 1000


@pytest.mark.parametrize("op", ["made", "is made of many words " * 9])
def test_very_long_loops_take_linear_time_and_fit(op):
    p = node(0, trainable=True, name="p")
    end = p
    for turn in range(30_000):
        end = step(turn % 7 + 1, op, end, p)
    text = end.backward("?").to_program(budget=2000)  # quadratic, this would not come back
    assert "# the same step 29997 more times:" in text
    assert len(text) <= 2000
