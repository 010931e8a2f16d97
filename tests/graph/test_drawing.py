"""Drawings, read back by a parser that knows only what we may write."""

import html
import random
import re
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_bridge.graph import (
    Edge,
    Evidence,
    Feedback,
    Module,
    Node,
    Parameter,
    bundle,
    drawing,
    node,
    subgraph,
)
from trace_bridge.graph.drawing import nearest

# ------------------------------------------------------------------ a strict parser

_LABEL = r'"([^"`\\<>&%$\[\]{}]*(?:<br/>[^"`\\<>&%$\[\]{}]*)*)"'
_BRACKETS = [("{{", "}}"), ("([", "])"), ("[[", "]]"), ("(", ")"), ("[", "]")]
_SHAPE = "|".join(re.escape(a) + _LABEL + re.escape(b) for a, b in _BRACKETS)
_BOX = re.compile(rf" {{4}}(n\d+)(?:{_SHAPE}):::(parameter|input|step|output|folded)")
_SHAPES = ["parameter", "output", "folded", "input", "step"]  # of the brackets in that order
_ARROW = re.compile(rf" {{4}}(n\d+) (-->|-\.->)(?:\|{_LABEL}\|)? (n\d+)")
_CLASS = re.compile(r" {4}classDef (\w+) fill:#\w{6},stroke:#\w{6},color:#\w{6}")


def parse_mermaid(text):
    """Boxes (look, lines) by identifier, and arrows (from, to, line, label)."""
    first, *rest = text.split("\n")
    assert first == "flowchart TD"
    assert ":fa-" not in text  # an icon
    boxes, arrows, classes = {}, [], set()
    for line in rest:
        if found := _BOX.fullmatch(line):
            name, *labels, look = found.groups()
            label = labels[_SHAPES.index(look)]
            assert label, line  # mermaid takes no empty ones
            assert name not in boxes
            boxes[name] = look, [unescaped(part) for part in label.split("<br/>")]
        elif found := _ARROW.fullmatch(line):
            start, line_style, label, end = found.groups()
            assert {start, end} <= set(boxes)
            arrows.append((start, end, line_style, unescaped(label or "")))
        elif found := _CLASS.fullmatch(line):
            classes.add(found[1])
        else:
            pytest.fail(f"no mermaid of ours: {line!r}")
    assert {look for look, _ in boxes.values()} == classes
    return boxes, arrows


def unescaped(text):
    assert not re.search(r"#(?!\d+;)", text)
    return re.sub(r"#(\d+);", lambda found: chr(int(found[1])), text)


def reached(arrows, starts):
    after = {}
    for start, end, *_ in arrows:
        after.setdefault(start, []).append(end)
    seen, pending = set(starts), list(starts)
    while pending:
        for end in after.get(pending.pop(), ()):
            if end not in seen:
                seen.add(end)
                pending.append(end)
    return seen


# ------------------------------------------------------------------ drawings


@bundle
def measure(question, unit):
    return f"{len(question)} {unit}"


class Agent(Module):
    def __init__(self):
        self.unit = Parameter("feet")

    def forward(self, question):
        return measure(question, self.unit)


def small():
    unit = Parameter("feet", "unit")
    return measure("tower", unit).backward((0.0, "use metres"))


def test_a_small_graph_is_drawn_whole():
    boxes, arrows = parse_mermaid(small().mermaid())
    assert boxes == {
        "n0": ("parameter", ["unit", "feet"]),
        "n1": ("input", ["question", "tower"]),
        "n2": ("output", ["measure", "5 feet", "feedback: score 0: use metres"]),
    }
    assert arrows == [("n1", "n2", "-->", "question"), ("n0", "n2", "-->", "unit")]
    dot = small().dot()
    assert 'n0 [shape=hexagon, fillcolor="#fde68a", label="unit\\nfeet"];' in dot
    assert 'n0 -> n2 [style=solid, label="unit"];' in dot


def test_weak_evidence_is_dashed():
    p, q = Parameter("a", "p"), Parameter("b", "q")
    end = Node("x", "op", [Edge(p, "", Evidence.READ), Edge(q, "", Evidence.TEXT)], name="end")
    graph = end.backward("?")
    boxes, arrows = parse_mermaid(graph.mermaid())
    assert boxes["n2"][1][0] == "end = op"
    assert [arrow[2] for arrow in arrows] == ["-.->", "-->"]
    assert "style=dashed" in graph.dot()


def test_a_strong_edge_beside_a_weak_one_is_not_dashed():
    p = Parameter("a", "p")
    end = Node("x", "op", [Edge(p, "first", Evidence.READ), Edge(p, "second", Evidence.TEXT)])
    assert parse_mermaid(end.backward("?").mermaid())[1] == [("n0", "n1", "-->", "first, second")]


def test_edges_that_were_left_out_are_not_drawn():
    p, q = Parameter("a", "p"), Parameter("b", "q")
    end = Node("x", "op", [Edge(p, "", Evidence.READ), Edge(q, "", Evidence.TEXT)])
    graph = subgraph({end: Feedback("?")}, lambda item, at: not item.edges[at].evidence.weak)
    assert len(parse_mermaid(graph.mermaid())[1]) == 1


def test_parameters_are_drawn_with_the_values_of_that_run():
    agent = Agent()
    with agent.using({"self:unit": "metres"}):
        graph = agent("tower").backward("better")
    agent.unit.set("yards")
    assert parse_mermaid(graph.mermaid())[0]["n0"] == ("parameter", ["self:unit", "metres"])


def test_where_a_step_of_an_interaction_begins_is_an_input():
    p = Parameter("a", "p")
    begin = p + "b"
    boxes, _ = parse_mermaid((begin + p).backward("?", since=begin).mermaid())
    assert boxes["n1"] == ("input", ["add", "ab"])


NASTY = [
    'say "hi"', "end", "a]b)c}d", "<b>&amp;</b>", "1. first", "- item", "`code`", "%%{init}%%",
    "#quot; #35;", "line\nend", "back\\slash \\n", "http://x.y", "*bold* _it_", "äöü 🎉 漢字",
    "\x00\ud800\u2028", "style: #a;", "---", "[link](url)", "www.x.org a@b.c", "",
    "costs $$x^{$$", "a fa:fa-bolt",
]  # fmt: skip


@pytest.mark.parametrize("text", NASTY)
def test_labels_come_back_as_they_were(text):
    p = Parameter(text or " ", "p")
    graph = Node(text, "op", [Edge(p, text, Evidence.ARGUMENT)], name=text).backward(text)
    boxes, arrows = parse_mermaid(graph.mermaid())
    printed = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    assert boxes["n0"][1] == [line for line in ("p", printed) if line]
    assert arrows[0][3] == printed
    title = f"{printed} = op" if text else "op"
    assert boxes["n1"][1][0] == title.strip()


@pytest.mark.skipif(shutil.which("dot") is None, reason="graphviz is not installed")
@pytest.mark.parametrize("text", NASTY)
def test_graphviz_reads_what_we_write(text):
    graph = (Parameter(text or " ", "p") + text).backward(text)
    done = subprocess.run(
        ["dot", "-Tplain"], input=graph.dot(), capture_output=True, check=True, encoding="utf-8"
    )
    assert done.stdout.count("\nnode ") == 3
    assert done.stdout.count("\nedge ") == 2
    printed = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    svg = subprocess.run(
        ["dot", "-Tsvg"], input=graph.dot(), capture_output=True, check=True, encoding="utf-8"
    ).stdout
    shown_lines = [html.unescape(found) for found in re.findall(r">([^<>]*)</text>", svg)]
    assert not printed or printed in " ".join(" ".join(shown_lines).split()).replace("\xa0", " ")


# ------------------------------------------------------------------ folding


@st.composite
def graphs(draw):
    """Any DAG with any labels, and outputs with feedback."""
    words = st.text(max_size=8) | st.sampled_from(NASTY)
    nodes = []
    for position in range(draw(st.integers(1, 30))):
        parents = draw(st.lists(st.integers(0, position - 1), max_size=3)) if position else []
        name = draw(words)
        if not parents and draw(st.booleans()):
            nodes.append(Parameter(draw(words), name))
        else:
            evidence = draw(st.sampled_from(list(Evidence)))
            edges = [Edge(nodes[at], draw(words), evidence) for at in parents]
            nodes.append(Node(draw(words), draw(words) or "op", edges, name=name))
    outputs = draw(st.lists(st.sampled_from(nodes), min_size=1, max_size=6, unique_by=id))
    return subgraph({output: Feedback(draw(words)) for output in outputs})


def connected(graph):
    """For each parameter the outputs that it influences, found without the picture."""
    found = {}
    for parameter in graph.parameters:
        seen = {parameter}
        for item in graph.nodes:
            if not seen.isdisjoint(edge.node for edge in graph.edges(item)):
                seen.add(item)
        found[parameter] = {item for item, _ in graph.feedback if item in seen}
    return found


def check_connections(graph):
    places = drawing._places(graph)
    order = list(dict.fromkeys(places))
    box_of = {item: f"n{order.index(at)}" for item, at in zip(graph.nodes, places, strict=True)}
    boxes, arrows = parse_mermaid(graph.mermaid())
    assert set(box_of.values()) == set(boxes)
    for parameter, outputs in connected(graph).items():
        there = reached(arrows, [box_of[parameter]])
        for output, _ in graph.feedback:
            assert (box_of[output] in there) == (output in outputs)
    return boxes, arrows


@given(graphs())
def test_a_drawing_is_the_graph(graph):
    boxes, _ = check_connections(graph)
    assert len(boxes) == len(graph.nodes)


@given(graphs(), st.integers(0, 6), st.integers(0, 4))
def test_folding_keeps_what_depends_on_what(graph, kept, ends):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("_WHOLE", 0), ("_KEPT", kept), ("_ENDS", ends)):
            patch.setattr(drawing, name, value)
        check_connections(graph)


@given(graphs(), st.integers(0, 10))
def test_folding_makes_no_circles_of_steps(graph, kept):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "_WHOLE", 0)
        patch.setattr(drawing, "_KEPT", kept)
        _, arrows = parse_mermaid(graph.mermaid())
    for start, end, *_ in arrows:
        assert start not in reached(arrows, [end])


@given(graphs())
def test_nearest_has_each_node_once_and_ends_first(graph):
    found = nearest(graph)
    assert len(set(found)) == len(found) == len(graph.nodes)
    ends = {item for item, _ in graph.feedback} | set(graph.parameters)
    assert set(found[: len(ends)]) == ends  # before all else


LONG = 100_000


def test_a_long_chain_is_folded_not_drawn_whole():
    p = node(0, trainable=True, name="p")
    end = p
    for _ in range(LONG):
        end = end + 1
    boxes, arrows = parse_mermaid(end.backward("far").mermaid())
    assert len(boxes) < 100
    assert "n0" not in reached(arrows, arrows[-1][:1])
    [steps] = [
        lines[0] for look, lines in boxes.values() if look == "folded" and "steps" in lines[0]
    ]
    assert int(steps.split()[0]) > LONG - 100
    output = next(name for name, (look, _) in boxes.items() if look == "output")
    assert output in reached(arrows, ["n0"])


def test_very_many_parameters_and_outputs_are_taken_together():
    shared = node(1, trainable=True, name="shared")
    end = shared
    for number in range(300):
        end = end + Parameter(1, f"p{number}", kind="number")
    outputs = {end * number: Feedback(f"said {number}") for number in range(300)}
    boxes, _ = check_connections(subgraph(outputs))
    assert len(boxes) < 110
    looks = {tuple(lines[:2]): look for look, lines in boxes.values()}
    assert looks["301 parameters",] == "parameter"
    assert looks["300 outputs", "feedback: said 0"] == "output"


def test_a_minibatch_keeps_its_runs_apart():
    p = node(0, trainable=True, name="p")
    outputs = {}
    for number in range(4):
        end = p
        for _ in range(100):
            end = end + number
        outputs[end] = Feedback(f"run {number}")
    boxes, _ = check_connections(subgraph(outputs))
    folded = [
        lines[0] for look, lines in boxes.values() if look == "folded" and "steps" in lines[0]
    ]
    assert len(folded) == 4
    assert len(boxes) < 100


def used_together(count, number, each):
    """``number`` answers, each made with some of ``count`` parameters."""
    rng = random.Random(0)
    parameters = [Parameter("x", f"p{at}") for at in range(count)]
    samples = [rng.sample(parameters, each) for _ in range(number)]
    return [
        Node("x", "ask", [Edge(item, "", Evidence.ARGUMENT) for item in sample])
        for sample in samples
    ]


def conversation(turns):
    messages = [Parameter("x", "p")]
    for _ in range(turns):
        edges = [Edge(message, "messages", Evidence.ARGUMENT) for message in messages]
        messages.append(Node("x", "chat", edges))
    return messages[-1:]


def long_texts(count):
    end = Parameter("<" * 99, "p")
    for _ in range(count):
        end = Node("<" * 99, "<" * 99, [Edge(end, "<" * 99, Evidence.ARGUMENT)], name="<" * 99)
    return [end]


@pytest.mark.parametrize(
    ("outputs", "boxes"),
    [
        (used_together(200, 200, 5), 200),
        (used_together(39, 200, 3), 200),
        (used_together(200, 64, 8), 200),
        (used_together(30, 30, 30), 2),
        (conversation(28), 28),
        (conversation(41), 40),
        (conversation(300), 100),
        (long_texts(90), 60),
    ],
)
def test_no_drawing_is_more_than_mermaid_draws_unless_told_to(outputs, boxes):
    graph = subgraph({output: Feedback("?") for output in outputs})
    drawn = drawing.picture(graph)
    assert len(drawn.boxes) <= boxes
    assert len(drawn.arrows) <= 300  # maxEdges is 500
    assert len(graph.mermaid()) <= 50_000  # maxTextSize
    parse_mermaid(graph.mermaid())


@pytest.mark.skipif(shutil.which("dot") is None, reason="graphviz is not installed")
def test_graphviz_draws_what_has_as_many_arrows_as_there_may_be():
    [end] = conversation(24)
    drawn = drawing.picture(end.backward("?"))
    assert len(drawn.arrows) == 300
    assert drawing.svg(drawn.dot())  # it has 10 seconds


@given(graphs(), st.integers(1, 5))
def test_graphs_that_are_folded_again_lose_no_connection(graph, folded):
    places = drawing._places(graph, folded)
    order = list(dict.fromkeys(places))
    box_of = {item: f"n{order.index(at)}" for item, at in zip(graph.nodes, places, strict=True)}
    _, arrows = parse_mermaid(drawing._drawn(graph, places).mermaid())
    for parameter, outputs in connected(graph).items():
        there = reached(arrows, [box_of[parameter]])
        assert {box_of[output] for output in outputs} <= there


def test_very_many_edges_between_two_nodes():
    p = Parameter("x", "p")
    edges = [Edge(p, f"argument {number}", Evidence.ARGUMENT) for number in range(100_000)]
    graph = Node("y", "op", edges).backward("?")
    [(_, _, _, label)] = parse_mermaid(graph.mermaid())[1]  # quadratic, this would not come back
    assert label.startswith("argument 0, argument 1")


def test_more_ends_than_are_kept_apart_still_show_every_connection(monkeypatch):
    monkeypatch.setattr(drawing, "_BITS", 2)
    monkeypatch.setattr(drawing, "_ENDS", 1)
    monkeypatch.setattr(drawing, "_WHOLE", 0)
    pairs = [Parameter("x", f"p{number}") for number in range(5)]
    graph = subgraph({pair + "!": Feedback("?") for pair in pairs})
    boxes, arrows = parse_mermaid(graph.mermaid())
    parameters = [name for name, (look, _) in boxes.items() if look == "parameter"]
    outputs = {name for name, (look, _) in boxes.items() if look == "output"}
    assert outputs <= reached(arrows, parameters)


# ------------------------------------------------------------------ notebooks


def fake_dot(folder, monkeypatch, script):
    program = folder / "dot"
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_a_notebook_shows_svg_where_graphviz_is(tmp_path, monkeypatch):
    fake_dot(tmp_path, monkeypatch, "echo '<?xml?>'; echo '<svg>'; cat; echo '</svg>'")
    bundle_ = small()._repr_mimebundle_(include=None, exclude=None)
    assert bundle_["image/svg+xml"] == f"<svg>\n{small().dot()}</svg>\n"
    assert bundle_["text/plain"] == "<Subgraph of 3 nodes, 1 parameters, 1 with feedback>"
    assert "text/markdown" not in bundle_


@pytest.mark.parametrize("script", ["exit 3", "exec sleep 60", "kill -9 $$", "echo oh; exit 1"])
def test_a_notebook_shows_mermaid_where_graphviz_fails(tmp_path, monkeypatch, script):
    monkeypatch.setattr(drawing, "_SECONDS", 0.3)
    fake_dot(tmp_path, monkeypatch, script)
    bundle_ = small()._repr_mimebundle_()
    assert bundle_["text/markdown"] == f"```mermaid\n{small().mermaid()}\n```"
    assert "image/svg+xml" not in bundle_


def test_a_notebook_shows_mermaid_where_graphviz_is_not(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert set(small()._repr_mimebundle_()) == {"text/plain", "text/markdown"}
