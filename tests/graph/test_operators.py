import array
import collections
import copy
import dataclasses
import math
import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_bridge.graph import (
    ExecutionError,
    Feedback,
    LostEdgeWarning,
    Node,
    Parameter,
    bundle,
    no_trace,
    node,
    subgraph,
)

BINARY = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod,
    operator.pow, operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge,
    operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift, divmod,
]  # fmt: skip
UNARY = [
    operator.neg, operator.pos, operator.abs, operator.invert, round, math.floor, math.ceil,
    math.trunc,
]  # fmt: skip


def traced(result, expected, *parents):
    assert isinstance(result, Node)
    assert result.peek() == expected
    assert type(result.peek()) is type(expected)
    assert set(parents) <= set(result.parents)


@pytest.mark.parametrize("function", BINARY, ids=lambda function: function.__name__)
@given(st.integers(-9, 9), st.integers(1, 9))
def test_binary_operators(function, left, right):
    a, b = node(left, trainable=True), node(right, trainable=True)
    expected = function(left, right)
    traced(function(a, b), expected, a, b)
    traced(function(a, right), expected, a)
    traced(function(left, b), expected, b)


@pytest.mark.parametrize("function", UNARY, ids=lambda function: function.__name__)
@given(st.integers(-9, 9))
def test_unary_operators(function, value):
    a = node(value, trainable=True)
    traced(function(a), function(value), a)


def test_round_to_digits():
    a = node(1.256, trainable=True)
    traced(round(a), 1, a)
    traced(round(a, 1), 1.3, a)


def test_matrix_product():
    class Matrix:
        def __matmul__(self, other):
            return f"product with {other}"

    a = Parameter(Matrix(), kind="value")
    traced(a @ 2, "product with 2", a)


def test_the_constant_operand_is_shown():
    a = node(1, trainable=True)
    made = a + 41
    assert [(parent.op, parent.peek()) for parent in made.parents] == [
        ("parameter", 1),
        ("constant", 41),
    ]


def test_a_node_twice_is_two_edges():
    a = node(2, trainable=True)
    assert [id(parent) for parent in (a * a).parents] == [id(a), id(a)]


@pytest.mark.parametrize("function", [str, bool, len, int, float, list, format, repr])
def test_plain_results_of_plain_functions(function):
    if function is list:
        assert [item.peek() for item in list(node("12"))] == ["1", "2"]
    elif function is repr:
        assert repr(node("12")) == "Node('12', op='input')"
    else:
        assert function(node("12")) == function("12")
        assert type(function(node("12"))) is type(function("12"))


def test_an_index_may_be_a_node():
    assert ["a", "b"][node(1)] == "b"
    assert list(range(node(3))) == [0, 1, 2]
    with pytest.raises(TypeError):
        operator.index(node("1"))


def test_fstrings_percent_and_join_show_the_value():
    p = node(0.5)
    assert f"{p} {p:.2f} {p!s}" == "0.5 0.50 0.5"
    assert "%s" % p == "0.5"  # noqa: UP031 (that is what is tested)
    assert "{}".format(p) == "0.5"  # noqa: UP032


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda text: text.upper(), "A B"),
        (lambda text: text.startswith("a"), True),
        (lambda text: text.split(" "), ["a", "b"]),
        (lambda text: text.replace("a", "c"), "c b"),
        (lambda text: text.encode("utf-8"), b"a b"),
        (lambda text: text[0], "a"),
        (lambda text: text[-1:], "b"),
        (lambda text: text + "!", "a b!"),
        (lambda text: "!" + text, "!a b"),
    ],
)
def test_methods_and_items_of_the_value(call, expected):
    p = node("a b", trainable=True)
    made = call(p)
    assert made.peek() == expected
    assert made.backward("x").parameters == (p,)


def test_format_takes_any_keyword():
    p = node("{x} {self} {function}", trainable=True)
    q = node("value", trainable=True)
    made = p.format(x=q, self=1, function=2)
    assert made.peek() == "value 1 2"
    assert set(made.backward("x").parameters) == {p, q}


def test_arguments_may_hold_nodes_inside():
    comma, p = node(", "), node("b", trainable=True)
    made = comma.join(["a", p])
    assert made.peek() == "a, b"
    assert made.backward("x").parameters == (p,)


def test_operands_may_hold_nodes_inside():
    p = node(1, trainable=True)
    start, more = node([0]), [p, {"deep": (p,)}]
    made = start + more
    assert made.peek() == [0, 1, {"deep": (1,)}]
    assert made.backward("x").parameters == (p,)


@pytest.mark.parametrize(
    ("value", "items"),
    [
        ([1, 2], [1, 2]),
        ((1, 2), [1, 2]),
        ("ab", ["a", "b"]),
        ({"a": 1, "b": 2}, ["a", "b"]),
        (frozenset([7]), [7]),
        (range(2), [0, 1]),
    ],
)
def test_iteration_gives_nodes(value, items):
    p = Parameter(value, kind="value")
    found = list(p)
    assert [item.peek() for item in found] == items
    assert all(item.backward("x").parameters == (p,) for item in found)


def test_iteration_over_what_has_no_length():
    p = Parameter(iter([1, 2]), kind="value")
    found = list(p)
    assert [item.peek() for item in found] == [1, 2]
    assert all(item.backward("x").parameters == (p,) for item in found)


class Record:
    """As many: it has items by key, a length, and gives its keys."""

    def __init__(self, **values):
        self.held = values

    def __getitem__(self, key):
        return self.held[key]

    def __len__(self):
        return len(self.held)

    def __iter__(self):
        return iter(self.held)


def test_iteration_over_what_goes_by_keys():
    p = Parameter(Record(a=1, b=2), kind="value")
    found = list(p)
    assert [item.data for item in found] == ["a", "b"]
    assert all(item.backward("x").parameters == (p,) for item in found)


@pytest.mark.parametrize("value", [[1, 2], "ab", (1, 2), {0: "x", 1: "y"}, range(3), np.arange(3)])
def test_reversed(value):
    p = Parameter(value, kind="value")
    found = list(reversed(p))
    assert [item.data for item in found] == list(reversed(value))
    assert all(item.backward("x").parameters == (p,) for item in found)
    with pytest.raises(TypeError):
        list(reversed(node({1})))


def test_a_list_may_change_while_it_is_iterated():
    for change in (lambda z, item: z.remove(item), lambda z, item: len(z) < 9 and z.append(item)):
        plain, z = [1, 2, 3, 4], node([1, 2, 3, 4])
        for item in plain:
            change(plain, item)
        for item in z:
            change(z, item)
        assert z.data == plain


def test_membership_of_what_holds_nodes():
    p = node("a", trainable=True)
    pairs = node({("a", 1), ("b", 2)})
    assert (p, 1) in pairs
    assert (p, 2) not in pairs
    assert bundle(lambda: (p, 1) in pairs)().backward("x").parameters == (p,)


def test_unpacking():
    p = node((1, 2), trainable=True)
    first, second = p
    traced(first, 1, p)
    traced(second, 2, p)


def test_a_number_cannot_be_iterated():
    with pytest.raises(TypeError):
        list(node(1))


def test_dictionaries():
    p = node({"a": [1, 2]}, trainable=True)
    traced(p["a"], [1, 2], p)
    assert [(key, value.peek()) for key, value in p.items()] == [("a", [1, 2])]
    assert [value.peek() for value in p.values()] == [[1, 2]]
    assert p.get("b", 3).peek() == 3
    assert "a" in p
    assert node("a") in p


def test_the_errors_of_the_value_are_the_errors_of_python():
    with pytest.raises(TypeError):
        node("a") + 1
    with pytest.raises(AttributeError):
        _ = node("a").nothing
    with pytest.raises(KeyError):
        _ = node({})["a"]
    assert not hasattr(node("a"), "nothing")


def test_inplace_operators_rebind():
    p = node([1], trainable=True)
    q = p
    q += [2]
    assert p.peek() == [1]
    assert q.peek() == [1, 2]


def test_a_callable_value_can_be_called():
    p = Parameter(lambda a, *, b: a - b, kind="value")
    made = p(node(5), b=node(2, trainable=True))
    assert made.peek() == 3
    assert len(made.backward("x").parameters) == 2


def test_protocols_are_not_pretended():
    x, y = node("a"), node(object())
    for name in ("__enter__", "__len_hint__", "__await__", "__deepcopy_me__"):
        assert not hasattr(x, name)
        assert not hasattr(y, name)


def test_plain_results_note_the_read():
    p = node([1], trainable=True)

    @bundle
    def plainly():
        return (len(p), bool(p), str(p), 1 in p, f"{p}")

    assert plainly().backward("x").parameters == (p,)


def test_an_element_of_a_container_of_nodes_depends_on_both():
    p = node("x", trainable=True)
    found = node([p, "y"])[0]
    assert found.peek() == "x"
    assert found.backward("x").parameters == (p,)


def test_reflected_matrix_product():
    class Vector:
        def __matmul__(self, other):
            return f"product with {other}" if isinstance(other, int) else NotImplemented

    p = node(2, trainable=True)
    traced(Vector() @ p, "product with 2", p)


# ------------------------------------------------------------------ plain values


CONVERSIONS = {
    "an f-string": lambda value: f"{value}",
    "int": int,
    "float": float,
    "complex": complex,
    "an index": lambda value: [10, 20, 30][value],
    "bytes": bytes,
    "numpy": np.asarray,
}


@pytest.mark.parametrize("convert", CONVERSIONS.values(), ids=CONVERSIONS)
def test_a_plain_value_outside_any_scope_is_a_lost_edge(convert):
    p = node(2, trainable=True)
    with pytest.warns(LostEdgeWarning, match="'parameter' leaves the graph") as caught:
        assert convert(p) == convert(2)
    assert caught[0].filename == __file__


def test_the_warning_names_what_to_do():
    with pytest.warns(LostEdgeWarning, match=r"use \.format\(\.\.\.\)"):
        assert f"{node('text', trainable=True)}" == "text"


@pytest.mark.parametrize("convert", CONVERSIONS.values(), ids=CONVERSIONS)
def test_a_plain_value_inside_a_scope_keeps_its_edge(convert):
    p = node(2, trainable=True)
    assert bundle(lambda: convert(p))().parents == (p,)
    with no_trace():
        assert convert(p) == convert(2)
    assert convert(node(2)) == convert(2)  # not trained: nothing is lost


@pytest.mark.parametrize("function", [bool, len, str, lambda p: "a" in p], ids=lambda f: f.__name__)
def test_questions_and_texts_for_people_do_not_warn(function):
    function(node("a", trainable=True))


# ------------------------------------------------------------------ in place


def w():
    return node(3, trainable=True, name="w")


def test_append_is_recorded_and_history_stays():
    z, added = node([2, 5, 3]), w()
    first = added + z[0]
    before = ask(added, z)
    z.append(added)  # as on the slides
    assert z.data == [2, 5, 3, 3]
    assert z.op == "append"
    assert added in set(z.parents)
    assert before.parents[1].data == [2, 5, 3]
    assert before.data == "3 of [2, 5, 3]"
    assert first.parents[1].parents == ()
    after = ask(added, z)
    assert after.parents[1] is z
    z.append(4)
    assert [parent.data for parent in after.parents] == [3, [2, 5, 3, 3]]
    assert [edge.label for edge in after.edges] == ["number", "of"]
    assert z.data == [2, 5, 3, 3, 4]
    assert z.backward("x").parameters == (added,)


@bundle
def ask(number, of):
    return f"{number} of {of}"


def test_the_users_own_container_is_not_written_to():
    mine = [1]
    z = node(mine)
    z.append(2)
    assert (mine, z.data) == ([1], [1, 2])


IN_PLACE = [
    ([3, 1, 2], lambda z: z.append(9)),
    ([3, 1, 2], lambda z: z.extend([9, 8])),
    ([3, 1, 2], lambda z: z.insert(0, 9)),
    ([3, 1, 2], lambda z: z.remove(1)),
    ([3, 1, 2], lambda z: z.pop()),
    ([3, 1, 2], lambda z: z.pop(0)),
    ([3, 1, 2], lambda z: z.clear()),
    ([3, 1, 2], lambda z: z.sort(reverse=True)),
    ([3, 1, 2], lambda z: z.reverse()),
    ([3, 1, 2], lambda z: operator.setitem(z, 0, 9)),
    ([3, 1, 2], lambda z: operator.delitem(z, slice(0, 2))),
    ({"a": 1}, lambda z: z.update(b=2)),
    ({"a": 1}, lambda z: z.update({"b": 2})),
    ({"a": 1}, lambda z: z.setdefault("b", 2)),
    ({"a": 1}, lambda z: z.pop("a")),
    ({"a": 1}, lambda z: z.popitem()),
    ({"a": 1}, lambda z: z.clear()),
    ({"a": 1}, lambda z: operator.setitem(z, "b", 2)),
    ({1, 2}, lambda z: z.add(3)),
    ({1, 2}, lambda z: z.discard(1)),
    ({1, 2}, lambda z: z.difference_update({1})),
    (bytearray(b"ab"), lambda z: z.append(99)),
    (collections.deque([1, 2]), lambda z: z.appendleft(0)),
    (collections.Counter("aab"), lambda z: z.update("b")),
    (collections.Counter("aab"), lambda z: z.subtract("a")),
    (collections.OrderedDict(a=1, b=2), lambda z: z.move_to_end("a")),
    (array.array("b", [1]), lambda z: z.frombytes(b"a")),
    (np.array([3.0, 1.0]), lambda z: np.copyto(z, 5.0)),
    (np.array([3.0, 1.0]), lambda z: np.put(z, [0], [9.0])),
    (np.array([3.0, 1.0]), lambda z: np.add.at(z, [0], 2.0)),
    (np.array([3.0, 1.0]), lambda z: z.sort()),
    (np.array([3.0, 1.0]), lambda z: operator.setitem(z, 0, 9.0)),
]


@pytest.mark.parametrize(("value", "change"), IN_PLACE)
def test_methods_that_change_their_container(value, change):
    expected, original = copy.copy(value), copy.copy(value)
    wanted = change(expected)
    z = node(value)
    user = bundle(lambda number, of: repr(of))(w(), z)
    result = change(z)
    assert repr(z.data) == repr(expected)
    assert (None if result is None else result.data) == wanted
    assert repr(value) == repr(original)
    assert repr(user.parents[1].data) == user.data == repr(original)


def test_a_node_is_written_into_the_users_array_as_a_plain_value():
    a, p = np.zeros(2), node(3.0, trainable=True)
    with pytest.warns(LostEdgeWarning, match=r"by copyto"):
        np.copyto(a, p)
    assert list(a) == [3.0, 3.0]
    assert bundle(lambda: np.copyto(a, src=p))().parents == (p,)


def test_a_change_that_is_not_traced_leaves_history_alone():
    added = w()
    z = node([1]) + [added]  # noqa: RUF005 (an operator)
    user = ask(added, z)
    with no_trace():
        z.append(5)
    assert (z.data, z.parents) == ([1, 3, 5], ())
    assert user.parents[1].data == [1, 3]
    assert user.parents[1].parents[1] is added


def test_what_is_put_into_itself_is_made_of_its_old_value():
    for change in (lambda z: z.extend(z), lambda z: z.append([z])):
        z = node([1, w()])
        change(z)
        assert all(parent is not z for parent in z.parents)
        assert [parent.data for parent in z.parents] == [[1, 3], [1, 3]]


def test_a_container_may_have_attributes_that_are_called_like_slots_of_nodes():
    class Odd(list):
        _used, _versions = True, "mine"

    z, added = node(Odd([1])), w()
    user = ask(added, z)
    z.append(added)
    assert (z.data, user.parents[1].data) == ([1, 3], [1])


def test_what_was_taken_out_keeps_its_edges():
    z = node([w() * 2])
    taken = z.pop()
    assert taken.data == 6
    assert len(taken.backward("x").parameters) == 1
    assert z.data == []


def test_a_method_that_fails_changes_nothing():
    z = node([1])
    with pytest.raises(ValueError, match="not in list"):
        z.remove(5)
    assert (z.data, z.op) == ([1], "input")


def test_a_parameter_cannot_be_changed_in_place():
    p = node([1], trainable=True, name="p")
    for change in (lambda: p.append(2), lambda: operator.setitem(p, 0, 2)):
        with pytest.raises(TypeError, match=r"the parameter 'p' in place.*p \+ \[x\]"):
            change()
    assert p.data == [1]


def test_a_change_inside_an_operator_makes_the_old_value_its_parent():
    z, added = node([1]) + [w()], w()  # noqa: RUF005 (an operator)

    @bundle
    def grow():
        z.append(added)
        return z.data

    old = z.order
    made = grow()
    assert made.data == [1, 3, 3]
    assert [parent.order for parent in made.parents] == [old, added.order]
    assert len(made.backward("x").parameters) == 2


def test_pending_feedback_keeps_the_value_that_it_is_about():
    z, added = node([1]), w()
    z.append(added)
    made = ask(added, z)
    found = subgraph({made: Feedback("good"), z: Feedback("short")})
    z.append(4)
    shown = [member for member in found.nodes if member.op == "append"]
    assert [member.data for member in shown] == [[1, 3]]
    assert [edge.node for edge in found.edges(made)] == [added, *shown]
    assert [about.data for about, _ in found.feedback] == ["3 of [1, 3]", [1, 3]]
    assert set(found.to(added).nodes) == set(found.nodes)


# ------------------------------------------------------------------ more protocols


def test_a_dictionary_can_be_unpacked():
    p = node({"a": 1, "b": 2}, trainable=True)
    assert {key: value.peek() for key, value in dict(p).items()} == {"a": 1, "b": 2}
    assert "a" in dict(p)

    def f(**named):
        return named

    assert all(value.backward("x").parameters == (p,) for value in f(**p).values())
    assert list(p.keys()) == ["a", "b"]


def test_values_and_keys_of_what_is_no_dictionary_are_its_own():
    class Frame:
        values = 3

        def keys(self):
            return "mine"

    p = Parameter(Frame(), kind="value")
    traced(p.values, 3, p)
    traced(p.keys(), "mine", p)


def test_modular_power():
    p = node(3, trainable=True)
    traced(pow(p, 2, 5), 4, p)
    traced(2**p, 8, p)


def test_arrays():
    a, p = np.array([1.0, 2.0]), node(np.array([3.0, 4.0]), name="p")
    q = node(2.0, trainable=True)
    for made, expected in [
        (a + q, a + 2.0),
        (q * a, a * 2.0),
        (np.multiply(a, q), a * 2.0),
        (np.add.reduce(p * q), 14.0),
        (np.concatenate([p * q, a]), np.array([6.0, 8.0, 1.0, 2.0])),
        ((p * q).mean(), 7.0),
        ((p * q)[1], 8.0),
        ((p * q) == np.array([6.0, 0.0]), np.array([True, False])),
    ]:
        assert isinstance(made, Node)
        assert np.array_equal(made.data, expected)
        assert made.backward("x").parameters == (q,)


def test_methods_of_the_users_objects():
    class Point:
        scale = 2

        def __init__(self, x):
            self.x = x

        def moved(self, by, *, times=1):
            return self.x + by * times

        @classmethod
        def scaled(cls, x):
            return cls.scale * x

        @staticmethod
        def plain(x):
            return x

    p, q = Parameter(Point(1), kind="value"), node(5, trainable=True)
    traced(p.moved(q, times=2), 11, p, q)
    traced(p.scaled(q), 10, p, q)
    assert set(p.plain(q).backward("x").parameters) == {p, q}
    traced(p.x, 1, p)


def test_a_node_that_is_taken_out_of_an_object_is_its_value():
    inner = node(5, trainable=True)

    @dataclasses.dataclass
    class Result:
        text: object

    made = bundle(lambda: Result(inner))()
    assert made.parents == (inner,)
    taken = made.text
    assert (taken.data, taken.backward("x").parameters) == (5, (inner,))


def test_operands_inside_containers_are_noted_where_they_are_used():
    p, q = node([1], trainable=True), node(2, trainable=True)
    assert bundle(lambda: (p + [q]).data)().parents == (p, q)  # noqa: RUF005 (an operator)


def test_an_attribute_that_is_called_like_a_method_of_a_string():
    class Row:
        count, keys = 3, "mine"

    p = Parameter(Row(), kind="value")
    traced(p.count, 3, p)
    traced(p.keys, "mine", p)


def test_a_value_is_not_asked_for_what_is_its_nodes():
    class Proxy:
        asked = ()

        def __getattr__(self, name):  # as of a remote object, or a mock: it has them all
            Proxy.asked += (name,)
            return 5

        def __setitem__(self, key, value):
            pass

    p, z = w(), node(Proxy())
    z["k"] = p
    assert z.parents[2] is p
    z["k"] = 2
    assert z.parents[0].parents[2] is p
    assert z.backward("?").feedback[0][0] is z
    assert not [name for name in Proxy.asked if name[:2] != "__"]


# ------------------------------------------------------------------ operators that raise


RAISING = {
    "item": lambda p: p["k"],
    "binary": lambda p: p + 1,
    "reflected": lambda p: 1 + p,
    "unary": lambda p: -p,
    "call": lambda p: p(),
    "method": lambda p: p.popitem(),
    "method with an argument": lambda p: p.fromkeys(3),
    "method with arguments": lambda p: p.get(1, 2, 3),
    "keyword": lambda p: p.get(key=1),
    "attribute": lambda p: p.upper,
    "inside a container": lambda p: node(1) + [p],  # noqa: RUF005 (an operator)
}


@pytest.mark.parametrize("use", RAISING.values(), ids=RAISING)
@pytest.mark.parametrize("handled", [False, True])
def test_an_operator_that_raises_leaves_its_edge(use, handled):
    p = (
        node(node({}, trainable=True) | {})
        if use is RAISING["method"]
        else node({}, trainable=True)
    )

    @bundle
    def run():
        try:
            use(p)
        except (KeyError, TypeError, AttributeError):
            if not handled:
                raise
        return "handled"

    if handled:
        assert run().requires_grad
    else:
        with pytest.raises(ExecutionError) as caught:
            run()
        assert caught.value.node.requires_grad


def test_a_change_that_raises_leaves_its_edge():
    z = node([1]) + [w()]  # noqa: RUF005 (an operator)
    made = bundle(lambda: z.remove(9))
    with pytest.raises(ValueError, match="not in list") as caught:
        made()
    assert caught.value.node.parents == (z,)


def test_an_object_that_lacks_an_attribute_leaves_its_edge():
    p = Parameter(object(), kind="value")
    assert bundle(lambda: hasattr(p, "missing"))().parents == (p,)


# ------------------------------------------------------------------ versions


def test_versions_that_nobody_has_used_are_not_kept():
    z = node([])
    for number in range(10):
        z.append(number)
    assert z.before(0) is z
    user = ask(w(), z)
    for number in range(10):
        z.append(number)
    assert user.parents[1].data == list(range(10))
    assert len(z._versions) == 1


def test_each_user_finds_its_version():
    z, users = node([0]), []
    for number in range(50):
        users.append(ask(w(), z))
        z[0] = number + 1
    assert [user.parents[1].data for user in users] == [[number] for number in range(50)]


@bundle
def plainly(value):
    return repr(value)


@pytest.mark.parametrize(
    "hold",
    [
        lambda item: collections.deque([0, item], maxlen=2),
        lambda item: collections.OrderedDict(a=item),
        lambda item: collections.defaultdict(list, a=item),
        lambda item: slice(item, None),
        lambda item: [collections.deque([{"a": item}])],
    ],
)
def test_nodes_in_containers_of_the_standard_library(hold):
    p = node(1, trainable=True)
    assert plainly(hold(p)).data == repr(hold(1))
    assert plainly(hold(p)).backward("x").parameters == (p,)
    assert bundle(lambda: hold(p))().backward("x").parameters == (p,)


def test_a_slice_may_have_nodes_for_its_ends():
    values, start = node([1, 2, 3]), node(1, trainable=True)
    assert values[start:].data == [2, 3]
    assert values[start:].parents[1] is start


def test_the_representation_of_a_list_of_nodes_is_a_read():
    p = node("x", trainable=True)
    for show in (lambda: f"{p!r}", lambda: f"{[p]}", lambda: str({"a": (p,)})):
        assert bundle(show)().backward("x").parameters == (p,)
