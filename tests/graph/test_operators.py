import math
import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_bridge.graph import Node, Parameter, bundle, node

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
    p = node(0.5, trainable=True)
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
    assert [(key.peek(), value.peek()) for key, value in p.items()] == [("a", [1, 2])]
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
    x = node("a")
    for name in ("__array__", "__len_hint__", "__await__", "__deepcopy_me__"):
        assert not hasattr(x, name)


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
