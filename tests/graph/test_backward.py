"""Laws of the backward sweep, against a brute-force reading of the seeds' definition."""

import copy
import gc
import weakref

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trace_bridge.graph import Edge, Evidence, Feedback, Node, Parameter, no_trace, node, subgraph


class Elementwise:
    """A value like numpy's: ``==`` works element by element and has no truth value."""

    def __init__(self, *items):
        self.items = items

    def __eq__(self, other):
        others = other.items if isinstance(other, Elementwise) else [other] * len(self.items)
        return Elementwise(*(a == b for a, b in zip(self.items, others, strict=True)))

    def __add__(self, other):
        return Elementwise(*(a + b for a, b in zip(self.items, other.items, strict=True)))

    def __bool__(self):
        raise ValueError("the truth value of an array is ambiguous")

    __hash__ = None


@st.composite
def dags(draw):
    """Nodes in order of creation, all edges that were asked for, and outputs with feedback."""
    size = draw(st.integers(1, 12))
    nodes, edges = [], {}
    for position in range(size):
        parents = draw(st.lists(st.integers(0, position - 1), max_size=3)) if position else []
        if not parents and draw(st.booleans()):
            made = Parameter(f"value {position}", f"p{position}")
        else:
            wanted = [Edge(nodes[at], "", Evidence.ARGUMENT) for at in parents]
            made = Node(draw(st.integers(0, 1)), "op", wanted)  # many equal values
        edges[made] = [nodes[at] for at in parents]
        nodes.append(made)
    outputs = draw(st.lists(st.sampled_from(nodes), min_size=1, max_size=3, unique_by=id))
    return nodes, edges, {output: Feedback(f"about {i}") for i, output in enumerate(outputs)}


def reachable(starts, step):
    seen, pending = set(starts), list(starts)
    while pending:
        for following in step(pending.pop()):
            if following not in seen:
                seen.add(following)
                pending.append(following)
    return seen


def minimal(nodes, edges, outputs, parameters):
    """What lies on a path from a parameter to an output, with its direct inputs."""
    children = {item: [child for child in nodes if item in set(edges[child])] for item in nodes}
    influenced = reachable(parameters, children.__getitem__)
    influencing = reachable(outputs, edges.__getitem__)
    on_path = influenced & influencing
    return on_path | {parent for item in on_path for parent in edges[item]}


@given(dags())
def test_subgraph_is_the_minimal_subgraph(dag):
    nodes, edges, feedback = dag
    parameters = [item for item in nodes if item.trainable]
    found = subgraph(feedback)
    assert set(found.nodes) == minimal(nodes, edges, feedback, parameters) | set(feedback)
    assert set(found.parameters) == {item for item in found.nodes if item.trainable}
    assert [id(output) for output, _ in found.feedback] == [id(output) for output in feedback]


@given(dags())
def test_to_is_the_minimal_subgraph_of_one_parameter(dag):
    nodes, edges, feedback = dag
    found = subgraph(feedback)
    for parameter in found.parameters:
        part = found.to(parameter)
        assert set(part.nodes) == minimal(nodes, edges, feedback, [parameter])
        assert {id(output) for output, _ in part.feedback} == {
            id(output) for output in feedback if parameter in reachable([output], edges.__getitem__)
        }


@given(dags())
def test_parents_come_before_children_and_each_node_once(dag):
    found = subgraph(dag[2])
    place = {item: at for at, item in enumerate(found.nodes)}
    assert len(place) == len(found.nodes)
    assert all(place[parent] < place[item] for item in found.nodes for parent in item.parents)
    assert [id(item) for item in found.backward()] == [id(item) for item in found.nodes[::-1]]


@given(dags())
def test_a_node_that_cannot_reach_a_parameter_keeps_no_parents(dag):
    nodes, edges, _ = dag
    for item in nodes:
        trained = any(other.trainable for other in reachable([item], edges.__getitem__))
        assert item.requires_grad == trained
        assert [id(p) for p in item.parents] == ([id(p) for p in edges[item]] if trained else [])


def test_inputs_of_the_path_are_shown_and_what_made_them_is_not():
    a, p = node(1), node(10, trainable=True)
    blanket = (a + 1) + 1
    output = p + blanket
    assert set(subgraph({output: Feedback("no")}).nodes) == {p, blanket, output}


def test_outputs_may_get_different_feedback_in_one_sweep():
    p = node(1, trainable=True)
    shared = p + 1
    left, right = shared * 2, shared * 3
    found = subgraph({left: Feedback("too low", 0.0), right: Feedback("good", 1.0)})
    assert [str(given) for _, given in found.feedback] == ["score 0: too low", "score 1: good"]
    assert found.score == 0.5
    assert set(found.to(p).nodes) == set(found.nodes)


def test_feedback_may_be_said_in_short():
    p = node(1, trainable=True)
    left, middle, right = p * 2, p * 3, p * 4
    found = subgraph({left: "too low", middle: 0.5, right: (1.0, "good")})
    assert [str(given) for _, given in found.feedback] == [
        "too low", "score 0.5", "score 1: good",
    ]  # fmt: skip


def test_two_backwards_over_a_shared_node_both_arrive():
    p = node(1, trainable=True)
    shared = p + 1
    (shared * 2).backward("first")
    (shared * 3).backward("second")
    assert [given.text for graph in p.feedback for _, given in graph.feedback] == [
        "first",
        "second",
    ]


def test_feedback_about_an_inner_node_leaves_out_what_came_after():
    p, q = node(1, trainable=True), node(2, trainable=True)
    inner = p + 1
    output = inner + q
    found = subgraph({output: Feedback("wrong here", about=inner)})
    assert found.parameters == (p,)
    assert output not in set(found.nodes)
    assert found.feedback[0][0] is inner


def test_two_outputs_may_blame_the_same_inner_node():
    p = node(1, trainable=True)
    inner = p + 1
    left, right = inner * 2, inner * 3
    found = subgraph({left: Feedback("one", about=inner), right: Feedback("two", about=inner)})
    assert [(id(at), given.text) for at, given in found.feedback] == [
        (id(inner), "one"),
        (id(inner), "two"),
    ]


def test_feedback_on_a_node_and_by_another_about_it_are_both_kept():
    p = node(1, trainable=True)
    inner = p + 1
    found = subgraph({inner: Feedback("itself"), inner * 2: Feedback("later", about=inner)})
    assert [given.text for _, given in found.feedback] == ["itself", "later"]


def test_keep_leaves_out_weak_edges():
    p, q = Parameter("a"), Parameter("b")
    output = Node(1, "op", [Edge(p, "", Evidence.TEXT), Edge(q, "", Evidence.READ)])
    found = subgraph({output: Feedback("x")}, lambda item, at: not item.edges[at].evidence.weak)
    assert found.parameters == (p,)


def test_values_stay_those_of_the_moment():
    p = Parameter("then")
    found = (p + "").backward("x")
    p.set("now")
    assert found.values == {p: "then"}


def test_score_is_none_without_any():
    assert subgraph({node(1): Feedback("only words")}).score is None


def test_elementwise_values_do_not_break_backward():
    p = Parameter(Elementwise(1, 2), kind="value")
    a, b = Node(Elementwise(1, 2)), Node(Elementwise(1, 2))
    left, right = p + a, p + b
    found = (left + right).backward("ambiguous")
    assert set(found.nodes) == {p, a, b, left, right, found.nodes[-1]}
    assert set(found.to(p).nodes) == set(found.nodes)
    assert p.feedback == [found]


def test_numpy_values_do_not_break_backward():
    p = node(np.ones(3), trainable=True)
    output = (p + np.ones(3)) * node(np.ones(3))
    assert output.backward("x").parameters == (p,)


LONG = 50_000


def chain(start, length=LONG):
    end = start
    for _ in range(length):
        end = end + 1
    return end


def test_a_long_chain_needs_no_recursion():
    p = node(0, trainable=True)
    end = chain(p)
    found = end.backward("too far")
    assert len(found.nodes) == 2 * LONG + 1  # each step has a constant beside it
    assert len(found.to(p).nodes) == len(found.nodes)
    p.feedback.clear()
    del found, end  # freeing a long chain must not overflow the stack either
    gc.collect()


def test_nothing_is_kept_alive():
    p = node(0, trainable=True)
    middle = p + 1
    output = middle * 2
    output.backward("x")
    gone = [weakref.ref(item) for item in (middle, output)]
    del middle, output
    assert all(reference() is not None for reference in gone)  # pending feedback holds the graph
    p.feedback.clear()
    gc.collect()
    assert [reference() for reference in gone] == [None, None]


def test_inference_without_backward_leaves_nothing_on_the_parameter():
    p = node(0, trainable=True)
    gone = weakref.ref(p + 1)
    assert gone() is None  # no cycle: reference counting alone frees it


def test_under_no_trace_there_is_no_graph():
    p = node(0, trainable=True)
    with no_trace():
        output = p + 1
    assert output.parents == ()
    assert subgraph({output: Feedback("x")}).parameters == ()


# ------------------------------------------------------------------ parts and propagators


def test_since_cuts_an_interaction_into_steps():
    p, q = node(1, trainable=True), node(2, trainable=True)
    first = p * 10
    second = first + q
    third = second * p
    found = third.backward("only this step", since=second)
    assert set(found.nodes) == {p, second, third}
    assert found.parameters == (p,)
    assert found.edges(second) == ()  # an input now
    assert [edge.node for edge in found.edges(third)] == [second, p]
    whole = subgraph({third: Feedback("x")}, since=None)
    assert whole.parameters == (p, q)


def test_since_and_keep_go_together():
    p, q, old = Parameter("p"), Parameter("q"), node("old")
    output = Node(1, "op", [Edge(p, "", Evidence.TEXT), Edge(q, "", Evidence.READ)])
    strong = subgraph(
        {output: Feedback("x")}, lambda item, at: not item.edges[at].evidence.weak, since=old
    )
    assert strong.parameters == (p,)
    assert [edge.node for edge in strong.edges(output)] == [p]


def test_a_detached_node_is_where_feedback_ends():
    p, q = node(1, trainable=True), node(2, trainable=True)
    state = (p * 10).detach()
    assert (state.data, state.parents) == (10, ())
    assert (state + q).backward("x").parameters == (q,)
    assert p.detach().backward("x").parameters == ()


def test_the_part_of_a_parameter_has_its_edges_only():
    p, q = node(1, trainable=True), node(2, trainable=True)
    left, right = p + 1, q * 2
    found = subgraph({left - right: Feedback("x")})
    part = found.to(q)
    assert {member.op for member in part.nodes} == {
        "parameter", "constant", "add", "multiply", "subtract"
    }  # fmt: skip
    assert part.edges(left) == ()  # shown as an input
    assert next(edge.node for edge in part.edges(right)) is q
    assert part.parameters == (q,)


def test_feedback_may_be_about_an_inner_node():
    p = node(1, trainable=True)
    inner = p + 1
    outer = inner * 2
    found = inner.backward("already wrong")
    assert outer not in set(found.nodes)
    found = subgraph({outer: Feedback("wrong here", about=inner)})
    assert [(member, str(given)) for member, given in found.feedback] == [(inner, "wrong here")]


def test_backward_may_be_called_again_and_after_the_output_is_gone():
    p = node(1, trainable=True)
    output = p + 1
    output.backward("first")
    output.backward("second")
    del output
    assert [str(graph.feedback[0][1]) for graph in p.feedback] == ["first", "second"]
    assert all(graph.nodes[-1].data == 2 for graph in p.feedback)


def sums(found):
    """Another propagator: each node gets the sum of the scores of what was made from it."""
    received = {member: given.score or 0.0 for member, given in found.feedback}
    for member in found.backward():
        for edge in found.edges(member):
            received[edge.node] = received.get(edge.node, 0.0) + received[member]
    return {parameter: received[parameter] for parameter in found.parameters}


def test_a_propagator_is_a_walk_over_the_subgraph():
    p, q = node(1, trainable=True), node(2, trainable=True)
    left, right = p + q, p * 3
    found = subgraph({left: Feedback(score=1.0), right: Feedback(score=0.25)})
    assert sums(found) == {p: 1.25, q: 1.0}


@given(dags())
def test_a_propagator_meets_children_before_their_parents(dag):
    _, _, outputs = dag
    found = subgraph({output: Feedback(score=1.0) for output in outputs})
    paths = dict.fromkeys(found.nodes, 0)
    for output in outputs:
        paths[output] += 1
    for member in reversed(found.nodes):
        for parent in member.parents:
            paths[parent] += paths[member]
    assert sums(found) == {parameter: paths[parameter] for parameter in found.parameters}


def test_a_sweep_asks_for_each_edge_once():
    visited = []
    p = node(0, trainable=True)
    ends = [chain(p, 10) for _ in range(100)]
    found = subgraph(
        {end: Feedback("x") for end in ends},
        lambda member, at: visited.append((member, at)) is None,
    )
    assert len(visited) == len(set(visited)) <= 2 * 10 * 100  # two operands each
    assert len(found.nodes) == 2 * 10 * 100 + 1


def test_a_subgraph_is_itself_and_says_in_short_what_it_is():
    p = node(np.ones(3), trainable=True)
    found, other = (p + 1).backward("x"), (p + 1).backward("x")
    assert len({found, other}) == 2
    assert found != other
    assert repr(found) == "<Subgraph of 3 nodes, 1 parameters, 1 with feedback>"
    assert copy.deepcopy([found])[0] is found


def test_a_masked_subgraph_shows_outputs_and_feedback_alone():
    p = Parameter("x", "p")
    first, second = p + "secret step", p * 2
    graph = subgraph({first: Feedback("bad"), second: Feedback("good", 1.0), p: Feedback("odd")})
    masked = graph.masked()
    assert [node.peek() for node in masked.nodes] == ["x", "xsecret step", "xx"]
    assert not any(node.parents for node in masked.nodes)
    assert [str(given) for _, given in masked.feedback] == ["bad", "score 1: good", "odd"]
    assert (masked.parameters, masked.score) == (graph.parameters, graph.score)
    text = masked.to_program()
    assert "output = xsecret step\noutput_1 = xx" in text
    assert "add(" not in text
