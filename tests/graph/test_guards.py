"""What a proposed text must not be; for more of that see tests/optimizers/bad_replies.py."""

import pytest

from trace_bridge.graph import Kind, Parameter, kind_named
from trace_bridge.graph.guards import CODE, TEXT, Phrases, Proposed


def objection(old, new, kind="prompt", **options):
    return Parameter(old, "p", kind=kind, **options).objection(new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Answer.", "Think in <think></think> first; give your <reasoning>why</reasoning>."),
        ("Answer.", 'Respond as {"answer": ..., "score": 1}, e.g. {}.'),
        ("Answer.", "Use x_{i} and $\\frac{a}{b}$, and put \\boxed{answer} last."),
        ("Say {x} and {{x}}.", "Now {x!r}, or {x:.2f}, or {x.y}."),
        ("Say {{ x }}.", "Say {% for y in x %}{{ y }}{% endfor %}{{x}}."),
        ("I'm sorry, I can't help.", "I'm sorry, I can't help you there."),
        ("# run 1\nx", "# run 1\ny"),
        ("x\n# the same 2 steps 9 more times:", "# the same 2 steps 9 more times:\ny"),
        ("Answer.", "None of the answers may be empty."),
        (
            "Answer.",
            "The rest of the answer stays in English, whatever the question is written in.",
        ),
        ("Answer.", "# Rules\n- be brief"),
        ("Answer.", "x" * 9_000),
    ],
)
def test_what_is_no_offence(old, new):
    assert objection(old, new) is None


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("Answer.", " Answer.\n", "is the value that it has, but for white space"),
        ("Answer.", "...", "says nothing"),
        ("Answer.", "(unchanged)", "says nothing"),
        ("Answer.", "Be brief.\n... the rest stays as before", "leaves something out"),
        ("Answer.", "I'm sorry, I can't help with that.", "is a refusal"),
        ("Say {x}.", "Say it.", "must keep {x}"),
        ("Say {{x}}.", "Say it.", "must keep {{x}}"),
        ("Say {x}.", "Say {x} and {y}.", "must not use {y}"),
        ("Say {{x}}.", "Say {{x}}, {{y}}.", "must not use {{y}}"),
        ("Answer.", "Answer {{y}}.", "must not use {{y}}:"),
        ("Answer.", "Answer {{ y }} and {y} and {z.name}.", "must not use {y}, {z.name}, {{ y }}:"),
        ("Answer.", "Here is the improved prompt: Be brief.", "begins with words about the value"),
        ("Answer.", "Be brief. <|im_end|>", "holds '<|im_end|>'"),
    ],
)
def test_what_is_refused_and_why(old, new, reason):
    assert reason in objection(old, new)


@pytest.mark.parametrize("guards", [TEXT, CODE])
@pytest.mark.parametrize(
    ("told", "reason"),
    [("withheld", "copies a training example"), ("wording", "repeats what you were told")],
)
def test_what_others_said_is_not_copied(guards, told, reason):
    copied = "the capital is called ouagadougou"
    old = "def act(x):\n    return x"
    proposed = Proposed(old, f"{old}  # {copied}", **{told: Phrases([copied], 3)})
    [refused] = filter(None, (guard(proposed) for guard in guards))
    assert refused.startswith(f"{reason} ({copied!r}): write ")


def test_a_constraint_allows_placeholders_and_holds_them():
    told = "Keep {tool:a} and {tool:b}. You may use {more}."
    assert objection("{tool:a} {tool:b}", "{tool:b} {more} {tool:a}", constraint=told) is None
    refused = objection("{tool:a} {tool:b}", "{tool:b} twice {tool:b}", constraint=told)
    assert refused == "must keep {tool:a}: what is filled in there would be lost"


def test_large_texts_may_stay_large():
    assert objection("y" * 8_000, "x" * 24_000) is None
    assert objection("y" * 8_000, "x" * 24_001) == "has 24001 characters: write at most 24000"


def test_users_may_set_and_offer_what_models_must_not_propose():
    p = Parameter("Answer {q}.", "p", choices=["Answer."])
    assert p.objection("Answer.") is None
    assert p.objection("Reply.")
    p.set("Reply.")
    assert p.base == "Reply."


def test_code_stays_this_function():
    old = "def act(x):\n    return x"
    assert objection(old, "def act(x):\n    return x + 1", kind="code") is None
    assert "does not parse: " in objection(old, "def act(x) return", kind="code")
    assert "act(x)" in objection(old, "def act(x, y):\n    return x", kind="code")


def test_code_that_is_no_python_is_not_parsed():
    assert objection("SELECT a FROM b", "SELECT c FROM b", kind="code") is None
    assert objection("x = 1", "x = 2", kind="code") is None


def test_kinds_without_guards_have_no_objection():
    assert kind_named("choice").guards == ()
    assert Kind("mine", lambda _: None, str, str).guards == ()
    assert objection("a", "b", kind="choice") is None


@pytest.mark.parametrize(
    ("text", "copied"),
    [
        ("Say: THEY fly,\nsouth in  the autumn!", "they fly south in the autumn"),
        ("They fly south.", ""),
        ("Say seventeen", ""),
        ("see https://example.org/some/path", "https example org some path"),
    ],
)
def test_copies_are_found_whatever_case_and_space(text, copied):
    known = ["They fly south in the autumn", "seventeen", "https://example.org/some/path"]
    phrases = Phrases(known, 4)
    assert phrases.copied("", text) == copied
    assert phrases.copied(text, f"{text} again") == ""


def test_a_long_text_is_copied_by_twelve_words_in_a_row():
    words = [f"w{number}" for number in range(40)]
    phrases = Phrases([" ".join(words)], 4)
    assert phrases.copied("", " ".join(words[5:16])) == ""
    assert phrases.copied("", " ".join(words[5:17])) == " ".join(words[5:17])


@pytest.mark.parametrize(
    "mark", ["# run 1", "# the same step 3 more times:", "# the same 12 steps 345 more times:"]
)
def test_headings_of_prompts_are_no_part_of_a_value(mark):
    refused = objection("Answer.", f"Answer briefly.\n{mark}\nmore")
    assert refused == f"holds {mark!r}, which is no part of a value: write the value alone"
