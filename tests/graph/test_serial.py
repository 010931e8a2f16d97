import json

from hypothesis import given
from hypothesis import strategies as st

from trace_bridge.graph import (
    Edge,
    Evidence,
    Feedback,
    Node,
    Parameter,
    dump_subgraph,
    load_subgraph,
    node,
    subgraph,
)


@st.composite
def subgraphs(draw):
    nodes = []
    for position in range(draw(st.integers(1, 10))):
        parents = draw(st.lists(st.integers(0, position - 1), max_size=3)) if position else []
        if not parents and draw(st.booleans()):
            nodes.append(Parameter(draw(st.text(min_size=1)), f"p{position}"))
            continue
        edges = [
            Edge(nodes[at], draw(st.text(max_size=3)), draw(st.sampled_from(Evidence)))
            for at in parents
        ]
        data = draw(st.integers() | st.text() | st.lists(st.text()) | st.none())
        nodes.append(Node(data, draw(st.text("abc", min_size=1)), edges, description="what it is"))
    outputs = draw(st.lists(st.sampled_from(nodes), min_size=1, max_size=3, unique_by=id))
    score = st.none() | st.floats(allow_nan=False)
    return subgraph({item: Feedback(draw(st.text()), draw(score)) for item in outputs})


def shape(graph):
    at = {item: position for position, item in enumerate(graph.nodes)}
    return (
        [
            (
                item.op, item.name, item.description, graph.values.get(item, item.peek()),
                [(at[e.node], e.label, e.evidence) for e in item.edges],
            )
            for item in graph.nodes
        ],
        [(at[item], given_.text, given_.score) for item, given_ in graph.feedback],
        {item.name: value for item, value in graph.values.items()},
    )  # fmt: skip


@given(subgraphs())
def test_loading_gives_back_what_was_dumped(graph):
    live = {item.name: item for item in graph.parameters}
    dumped = json.loads(json.dumps(dump_subgraph(graph)))
    loaded = load_subgraph(dumped, live)
    assert shape(loaded) == shape(graph)
    assert set(loaded.parameters) == set(graph.parameters)
    assert dump_subgraph(loaded) == dumped


def test_values_are_those_of_the_subgraph_and_not_the_present_ones():
    p = Parameter("then", "p")
    dumped = dump_subgraph((p + "!").backward("x"))
    p.set("now")
    assert load_subgraph(dumped, {"p": p}).values == {p: "then"}
    assert p.peek() == "now"


def test_a_parameter_that_is_not_trained_any_more_comes_back_as_a_plain_node():
    p, q = Parameter("a", "p"), Parameter("b", "q")
    loaded = load_subgraph(dump_subgraph((p + q).backward("x")), {"p": p})
    assert loaded.parameters == (p,)
    assert [item.peek() for item in loaded.nodes if item.name == "q"] == ["b"]


def test_edges_that_were_left_out_stay_out():
    p, q = Parameter("a", "p"), Parameter("b", "q")
    output = Node("c", "op", [Edge(p, "x", Evidence.TEXT), Edge(q, "y", Evidence.READ)])
    graph = subgraph({output: Feedback("?")}, lambda item, at: not item.edges[at].evidence.weak)
    loaded = load_subgraph(dump_subgraph(graph), {"p": p, "q": q})
    assert [edge.label for edge in loaded.nodes[-1].edges] == ["x"]


def test_values_without_json_form_are_dumped_as_text():
    output = node(1, trainable=True, name="p") + 1
    graph = subgraph({output: Feedback("?")})
    graph = type(graph)((*graph.nodes, Node(object())), graph.feedback, graph.values)
    assert dump_subgraph(graph)["nodes"][-1]["data"] == "<object>"
