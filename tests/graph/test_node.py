import collections
import copy
import dataclasses
import itertools
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pytest

from trace_bridge.graph import Edge, Evidence, Node, Parameter, node
from trace_bridge.graph.containers import nodes_in, unwrap


def test_a_node_of_a_node_is_the_same_node():
    x = node(1)
    assert node(x) is x


def test_a_trainable_node_of_a_node_is_a_parameter_over_its_data():
    data = ["x"]
    x = node(data)
    y = node(x, trainable=True)
    assert isinstance(y, Parameter)
    assert y.peek() is data
    assert y.parents == ()


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("text", "prompt"),
        (1, "number"),
        (0.5, "number"),
        (True, "value"),
        (None, "value"),
        ([1], "value"),
        ({"a": 1}, "value"),
    ],
)
def test_the_kind_fits_the_value(value, kind):
    parameter = node(value, trainable=True)
    assert isinstance(parameter, Parameter)
    assert parameter.kind == kind
    assert parameter.refusal(value) is None


@pytest.mark.parametrize(
    ("value", "other"),
    [
        (True, 5),
        (False, "no"),
        ([1], {"a": 1}),
        ({"a": 1}, [1]),
        ([1], "[1]"),
        (3, "3"),
        (3, True),
        ("text", 3),
        ("text", None),
    ],
)
def test_a_value_of_another_type_is_refused(value, other):
    parameter = node(value, trainable=True)
    assert parameter.refusal(other)
    with pytest.raises(ValueError, match="must"):
        parameter.set(other)
    assert parameter.base == value


@pytest.mark.parametrize(("value", "other"), [(True, False), (1, 2.5), ([1], []), (None, [1])])
def test_a_value_of_the_same_type_is_not(value, other):
    parameter = node(value, trainable=True)
    parameter.set(other)
    assert parameter.base == other


def test_the_check_of_the_user_is_enforced_after_that_of_the_kind():
    def brace(value):
        return None if "{x}" in value else "must keep {x}"

    parameter = Parameter("a {x}", "p", check=brace)
    assert parameter.refusal(3) == "must be text, not int"
    assert parameter.refusal("b") == "must keep {x}"
    with pytest.raises(ValueError, match=r"p: must keep \{x\}"):
        parameter.set("b")
    parameter.set("b {x}")
    assert parameter.base == "b {x}"


def test_the_value_that_it_began_with_is_never_refused():
    parameter = Parameter("", "p")  # a framework's object may well begin with an empty prompt
    parameter.set("better")
    parameter.set("")
    assert parameter.base == ""
    assert parameter.refusal(" ") == "must not be empty"


def test_an_edge_has_label_and_evidence_and_weakness():
    p = Parameter("x")
    made = Node(1, "op", [Edge(p, "a", Evidence.TEXT), Edge(p, "b", Evidence.READ)])
    assert [(edge.label, edge.evidence, edge.evidence.weak) for edge in made.edges] == [
        ("a", Evidence.TEXT, False),
        ("b", Evidence.READ, True),
    ]
    assert all(edge.node is p for edge in made.edges)


def test_order_is_an_order_over_all_threads():
    with ThreadPoolExecutor(8) as pool:
        chains = list(pool.map(lambda _: [node(1) for _ in range(500)], range(8)))
    orders = [item.order for chain in chains for item in chain]
    assert len(set(orders)) == len(orders)
    assert all(
        earlier.order < later.order
        for chain in chains
        for earlier, later in itertools.pairwise(chain)
    )


def test_membership_and_dictionaries_go_by_identity():
    a, b = node(1), node(1)
    known = {a}
    assert a in known
    assert b not in known
    assert {a: "a", b: "b"}[b] == "b"


def test_nodes_are_immutable_from_outside():
    x = node(1)
    with pytest.raises(AttributeError):
        x.data = 2
    with pytest.raises(AttributeError):
        x.something = 2


def test_a_copy_of_a_parameter_has_its_own_value():
    p = Parameter(["x"], "p", kind="value")
    q = copy.deepcopy(p)
    q.set(["y"])
    assert p.base == ["x"]
    assert q.base == ["y"]
    assert q.name == "p"
    assert {p: 1}.get(q) is None


def test_a_deep_copy_of_a_result_stands_alone():
    p = node(0, trainable=True)
    end = p
    for _ in range(5000):
        end = end + 1
    alone = copy.deepcopy(end)
    assert alone.peek() == 5000
    assert alone.parents == ()
    assert alone.order > end.order


def test_repr_tells_value_and_operation_without_a_read():
    assert repr(node(1)) == "Node(1, op='input')"
    assert repr(node(1, trainable=True)) == "Parameter(1, op='parameter')"


def test_concurrent_parameters_do_not_share_feedback():
    barrier = threading.Barrier(4)

    def work(number):
        barrier.wait()
        p = node(number, trainable=True)
        for turn in range(50):
            (p + turn).backward(str(number))
        return p

    with ThreadPoolExecutor(4) as pool:
        for number, p in enumerate(pool.map(work, range(4))):
            assert len(p.feedback) == 50
            assert {given.text for graph in p.feedback for _, given in graph.feedback} == {
                str(number)
            }


def test_a_node_over_nodes_has_them_as_parents():
    p, q = node(1, trainable=True), node(2, trainable=True)
    z = node([p, {"deep": (q, 3)}])
    assert z.data == [1, {"deep": (2, 3)}]
    assert z.parents == (p, q)


class Pair(NamedTuple):
    left: object
    right: object


@dataclasses.dataclass
class Message:
    content: object


@pytest.mark.parametrize(
    ("wrap", "plain"),
    [
        (lambda p: [p], [1]),
        (lambda p: (0, p), (0, 1)),
        (lambda p: {"a": p}, {"a": 1}),
        (lambda p: {p}, {1}),
        (lambda p: frozenset([p]), frozenset([1])),
        (lambda p: Pair(p, 2), Pair(1, 2)),
        (lambda p: [[{"a": (p, [p])}]], [[{"a": (1, [1])}]]),
    ],
)
def test_containers_of_any_kind_and_depth(wrap, plain):
    p = node(1, trainable=True)
    made = unwrap(wrap(p))
    assert made == plain
    assert type(made) is type(plain)
    assert set(nodes_in(wrap(p))) == {p}


class Messages(list):
    source = "user"


class Fixed(tuple):
    __slots__ = ()

    def __new__(cls, *items):
        return super().__new__(cls, items)


@pytest.mark.parametrize(
    ("wrap", "plain"),
    [
        (lambda p: Messages([p]), Messages([1])),
        (lambda p: collections.Counter(a=p), collections.Counter(a=1)),
        (lambda p: Fixed(p, 2), Fixed(1, 2)),
        (lambda p: type("Names", (dict,), {})(a=p), {"a": 1}),
        (lambda p: type("Tags", (set,), {})([p]), {1}),
    ],
)
def test_containers_of_the_users_own_classes(wrap, plain):
    p = node(1, trainable=True)
    held = wrap(p)
    made = node(held)
    assert made.data == plain
    assert type(made.data) is type(held)
    assert made.parents == (p,)


def test_a_container_is_copied_with_what_it_holds_besides():
    held = Messages([node(1)])
    held.source = "model"
    assert unwrap(held).source == "model"


def test_nodes_in_attrs_classes_are_found():
    attrs = pytest.importorskip("attrs")
    p = node("hi", trainable=True)
    answer = attrs.make_class("Answer", ["text"])
    slotted = attrs.make_class("Slotted", ["text"], slots=True)
    assert list(nodes_in([answer(p), slotted(p)])) == [p, p]


def test_objects_that_refer_to_each_other_are_looked_into_once():
    p = node("exit", trainable=True)
    rooms = [Message([]) for _ in range(200)]
    for room in rooms:
        room.content = [*rooms, p]
    assert len(nodes_in(rooms)) == 200
    doubled = [p]
    for _ in range(100):
        doubled = [doubled, doubled]
    assert list(nodes_in(doubled)) == [p]
    found = unwrap(doubled)
    for _ in range(100):
        assert found[0] is found[1]
        found = found[0]
    assert found == ["exit"]


def test_a_parameter_over_nodes_has_their_values():
    p = node("x", trainable=True)
    q = node([p, {"a": p}], trainable=True)
    assert repr(q.base) == "['x', {'a': 'x'}]"


def test_what_holds_no_nodes_stays_the_same_object():
    for value in ([1, [2]], {"a": {"b": 1}}, Pair(1, [2]), (object(),), "text"):
        assert unwrap(value) is value
        assert list(nodes_in(value)) == []


def test_a_container_that_holds_itself_ends():
    p = node(1, trainable=True)
    held = [p]
    held.append(held)
    assert unwrap(held)[0] == 1
    assert list(nodes_in(held)) == [p]


def test_nodes_in_dataclasses_are_found():
    p = node("hi", trainable=True)
    assert list(nodes_in([Message(p)])) == [p]
    assert list(nodes_in(Message)) == []


def test_nodes_are_pickled_alone_and_parameters_with_what_is_theirs():
    p = node([1, 2], trainable=True, name="p")
    made = p + [3]  # noqa: RUF005 (an operator)
    again = pickle.loads(pickle.dumps(made))  # noqa: S301
    assert (again.data, again.op, again.parents) == ([1, 2, 3], "add", ())
    p.backward("x")
    other = pickle.loads(pickle.dumps(p))  # noqa: S301
    assert (other.base, other.name, other.kind, other.feedback) == ([1, 2], "p", "value", [])
    assert other.refusal("text") == "must stay a list"


def test_a_changed_node_is_copied_as_it_is():
    z = node([1])
    z.append(node(2, trainable=True))
    other = copy.deepcopy(z)
    z.append(3)
    assert (other.data, other.parents) == ([1, 2], ())


def test_a_trainable_array_is_shown_and_stays_an_array():
    p = node(np.ones(2), trainable=True, name="p")
    assert "[1.0,1.0]" in (p + 1).backward("x").to_program().replace(" ", "")
    assert p.refusal([1, 2]) == "must stay a ndarray"
    assert p.refusal(p.base) is None


def test_feedback_may_be_empty():
    p = node(1, trainable=True)
    assert str((p + 1).backward().feedback[0][1]) == ""
