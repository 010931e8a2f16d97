import contextlib
import json

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from trace_bridge.graph import Parameter, node
from trace_bridge.optimizers.reply import ReplyError, read_reply, typed

_pieces = st.sampled_from(
    [
        "</value>", "<value>", "<think>", "</think>", "<reasoning>", "</reasoning>", "TERMINATE",
        "```", "```json\n", "\n", "\r\n", " ", "{x}", "<b>", "&lt;", '"', "<variables>", "def f():",
        "<", ">", "\t", "é", "<name>",
    ]
)  # fmt: skip
texts = st.lists(_pieces | st.text(max_size=8), max_size=6).map("".join)


def whole(text):
    """A value that stands in <value> tags as a whole is taken out of them: models copy the form."""
    inner = text.strip()
    return not (inner.startswith("<value>") and inner.endswith("</value>"))


@given(texts.filter(whole))
@example("Think in <think></think> first, then write <reasoning>why</reasoning>. TERMINATE")
@example("```python\nx = 1\n```")
@example("  indented\n")
@example("ends in </value>")
@example("\r")
def test_a_value_keeps_its_bytes(text):
    assume("variable" not in text.replace("<variables>", ""))
    for reasoning in ("", "<reasoning>because</reasoning>\n"):
        reply = f'{reasoning}<variable name="p">\n{text}\n</variable>'
        assert read_reply(reply, "stop").values == {"p": text}


@given(texts, texts)
def test_values_in_value_tags_keep_their_bytes(one, other):
    assume("variable" not in (one + other).replace("<variables>", ""))
    reply = "\n".join(
        f'<variable name="{name}">\n<value>\n{text}\n</value>\n</variable>'
        for name, text in (("p", one), ("q", other))
    )
    assert read_reply(reply, "stop").values == {"p": one, "q": other}


@given(texts)
def test_whatever_is_cut_off_is_never_adopted(text):
    assume("variable" not in text.replace("<variables>", ""))
    reply = f'<reasoning>why</reasoning>\n<variable name="p">\n{text}\n</variable>'
    for end in range(len(reply)):
        try:
            found = read_reply(reply[:end], "stop").values
        except ReplyError:
            continue
        assert end > reply.rindex("</variable") or found == {}
        assert found == {"p": text}


@given(st.dictionaries(st.text(min_size=1), st.text()).filter(bool))
@example({"p": 'Write <variable name="x"> after </think>'})
def test_json_keeps_the_bytes(values):
    for shape in ({"suggestion": values}, {"reasoning": "x", "variables": values}):
        for text in (json.dumps(shape), f"```json\n{json.dumps(shape, indent=1)}\n```"):
            assert read_reply(text, "stop").values == values


@given(texts)
def test_any_reply_is_read_or_refused(text):
    with contextlib.suppress(ReplyError):
        assert read_reply(text, "stop").values


@pytest.mark.parametrize(
    ("reply", "values"),
    [
        ('<variable name="p">v</variable>', {"p": "v"}),
        ("<variable name='p'>v</variable>", {"p": "v"}),
        ("<variable name=p>v</variable>", {"p": "v"}),
        ('<variable kind="prompt" name="p">v</variable>', {"p": "v"}),
        ('<variable  name = "p"  kind="prompt" >v</variable>', {"p": "v"}),
        ('<variable name="a/b:c d">v</variable>', {"a/b:c d": "v"}),
        ('Sure!\n<variable name="p">v</variable>\nThat is it. TERMINATE', {"p": "v"}),
        ('<variable name="p">v</variable><variable name="q">w</variable>', {"p": "v", "q": "w"}),
        ('<variable name="p">v</variable>\n<variable name="p">v</variable>', {"p": "v"}),
        ('<variable name="p">\r\nline\r\nnext\r\n</variable>', {"p": "line\r\nnext"}),
        ('<variable name="p"></variable>', {"p": ""}),
        ('<variable name="p"><value>v</value></variable>', {"p": "v"}),
        (
            '<variable name="p">Write <variable name="x">y</variable> tags</variable>',
            {"p": 'Write <variable name="x">y</variable> tags'},
        ),
        (
            '<reasoning>I rewrite <variable name="p"></reasoning><variable name="p">v</variable>',
            {"p": "v"},
        ),
        ('<think>maybe <variable name="p">w</variable></think><variable name="p">v</variable>',
         {"p": "v"}),
        ('\n<Thinking>x</Thinking>\n<variable name="p">v</variable>', {"p": "v"}),
        ('maybe <variable\n</think>\n<variable name="p">v</variable>', {"p": "v"}),
        ('{"suggestion": {"n": 3, "l": [1], "t": "3"}}', {"n": 3, "l": [1], "t": "3"}),
        ("{'suggestion': {'p': 'v'}}", {"p": "v"}),
        ('{"p": "a\nb",}', {"p": "a\nb"}),
        ('Sure:\n\n```json\n{"p": "v"}\n```\nThat is it.', {"p": "v"}),
        ('So:\n{"variables": [{"name": "p", "value": "v"}]}', {"p": "v"}),
        ('{"reasoning": "r", "answer": "", "suggestion": {"p": "v"}}', {"p": "v"}),
        ('{"p": "v"}', {"p": "v"}),
        ('{"reasoning": "because", "p": "v"}', {"p": "v"}),
    ],
)  # fmt: skip
def test_forms_that_are_understood(reply, values):
    assert read_reply(reply, "stop").values == values


@pytest.mark.parametrize(
    ("reply", "reasoning"),
    [
        ('<reasoning> because </reasoning><variable name="p">v</variable>', "because"),
        ('<variable name="p">v</variable><reasoning>after</reasoning>', "after"),
        ('<variable name="p"><reasoning>inside</reasoning></variable>', ""),
        ('{"reasoning": "why", "suggestion": {"p": "v"}}', "why"),
        ('<variable name="p">v</variable>', ""),
    ],
)
def test_reasoning(reply, reasoning):
    assert read_reply(reply, "stop").reasoning == reasoning


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "suggests nothing"),
        ("TERMINATE", "suggests nothing"),
        ("I would say it is fine.", "suggests nothing"),
        ("{}", "suggests nothing"),
        ('{"suggestion": {}}', "suggests nothing"),
        ('{"suggestion": {"p": "v"', "suggests nothing"),
        ("{'suggestion': {'p': 'v'}", "is no JSON that can be read"),
        ("{'p': 'a', 'p': 'b'}", "is no JSON that can be read"),
        ('{"p": "a", "p": "b"}', "p is given twice"),
        ('```json\n{"p": "v"}\n```\nor\n```json\n{"p": "w"}\n```', "several JSON objects"),
        ('I could say {"p": "v"} here.', "suggests nothing"),
        ("[1, 2]", "suggests nothing"),
        ('<variable name="p">v', "not closed"),
        ('<variable name="p">v</variable><variable name="q">', "not closed"),
        ('<variable name="p">v</variable></variable>', "not closed"),
        ('<variable name="p">use <variable> here</variable>', "not closed"),
        ("<variable>v</variable>", "no name"),
        ('<variable name="p">v</variable><variable name="p">w</variable>', "p is given twice"),
        ("<think>hm", "inside its thinking"),
        ('<think>hm <variable name="p">v</variable>', "inside its thinking"),
    ],
)
def test_what_cannot_be_read_for_certain_is_refused(reply, reason):
    with pytest.raises(ReplyError, match=reason):
        read_reply(reply, "stop")


def test_a_reply_that_the_provider_cut_off_is_refused_whatever_it_holds():
    with pytest.raises(ReplyError, match="cut off"):
        read_reply('<variable name="p">v</variable>', "length")


@pytest.mark.parametrize("text", ["[" * 200_000, '{"suggestion":' * 100_000])
def test_endless_brackets_are_refused(text):
    with pytest.raises(ReplyError):
        read_reply(text, "stop")
    with pytest.raises(ReplyError):
        typed(node(1, trainable=True), text)


@pytest.mark.parametrize(
    ("value", "text", "expected"),
    [
        ("old", "  new\n", "  new\n"),
        ("old", "```\ncode\n```", "```\ncode\n```"),
        ("old", "3", "3"),
        (1, " 2.5\n", 2.5),
        (1, "3", 3),
        (True, "false", False),
        ([1], "[2, 3]", [2, 3]),
        ({"a": 1}, '{"a": true}', {"a": True}),
        ({"a": 1}, "{'a': None,}", {"a": None}),
        (True, "False", False),
        (1, "```json\n2\n```", 2),
    ],
)
def test_typed_values(value, text, expected):
    found = typed(node(value, trainable=True), text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "text"), [(1, "abc"), (True, "no"), ([1], "abc"), ({"a": 1}, "{'a': 1"), (1, "")]
)
def test_texts_of_another_type_are_refused(value, text):
    with pytest.raises(ReplyError, match="is no value of kind"):
        typed(node(value, trainable=True), text)


def test_code_may_stand_in_a_fence():
    p = Parameter("def f(): pass\n", kind="code")
    for text in ("def f():\n    return 1\n", "```python\ndef f():\n    return 1\n```"):
        assert typed(p, text) == "def f():\n    return 1\n"
