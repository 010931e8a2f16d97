"""The Battleship example: its game, its yardsticks, its scripted model, and a served one."""

# ruff: noqa: A001, A002, A006 (the policy is the one on the slides of Trace)

import ast
import asyncio
import contextlib
import functools
import io
import random
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import trace_bridge as trace
from examples import battleship
from examples.battleship import Policy, held_out, main, shoot
from examples.battleship_board import SHIPS, Board
from examples.battleship_script import ANSWERS, scripted
from trace_bridge.testing import ScriptedLLM
from trace_bridge.testing.scripted import USELESS

ROOT = Path(__file__).parents[2]
FEEDBACK = re.compile(r"<feedback>.*?</feedback>", re.DOTALL)
CODE = re.compile(r"<value>.*?</value>", re.DOTALL)
LINE = re.compile(
    r"^\[(?P<model>[^]]+)\] iteration (?P<step>\d+): +(?P<hit>[\d.]+) %", re.MULTILINE
)


def printed(*arguments):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        main(arguments)
    return out.getvalue()


def percentages(text):
    return [float(match["hit"]) for match in LINE.finditer(text)]


@pytest.fixture
def few_boards(monkeypatch):
    monkeypatch.setattr(battleship, "held_out", functools.partial(held_out, boards=10))


@pytest.fixture
def played_by(monkeypatch, few_boards):
    """Runs the example with another model in the script's place."""

    def play(llm, *arguments):
        monkeypatch.setattr(battleship, "scripted", lambda: llm)
        return printed(*arguments)

    return play


# the example as it is run


@pytest.fixture(scope="module")
def default_run():
    return printed()


def test_the_scripted_model_climbs_from_nothing_to_the_learned_policy(default_run):
    hit = percentages(default_run)
    assert hit == sorted(hit)
    initial, corner, first_unknown, learned = sorted(set(hit))
    assert initial == hit[0] == 0
    assert 0.5 < corner < 3
    assert 45 < first_unknown < 57
    assert 70 < learned < 82
    assert hit[-1] == learned


def test_every_line_says_that_it_is_scripted(default_run):
    lines = default_run.splitlines()
    assert [match["step"] for match in LINE.finditer(default_run)] == [*map(str, range(len(lines)))]
    assert {match["model"] for match in LINE.finditer(default_run)} == {"scripted"}


def test_the_readme_shows_this_output(default_run):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = f"```console\n$ python -m examples.battleship\n{default_run}```\n"
    assert block in text


def test_it_is_short_and_needs_no_framework():
    text = (ROOT / "examples" / "battleship.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 80
    for path in (ROOT / "examples").glob("battleship*.py"):
        for statement in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [item.name for item in getattr(statement, "names", [])]
            module = getattr(statement, "module", None)
            for name in [module] if module else names:
                root = name.partition(".")[0]
                assert root in {"trace_bridge", "examples", *sys.stdlib_module_names}


def test_boards_of_the_test_are_never_trained_on(monkeypatch, few_boards):
    trained, tested = [], []

    class Spy(Board):
        def __init__(self, rng, **size):
            super().__init__(rng, **size)
            (tested if size else trained).append((self.width, self.height, frozenset(self.fleet)))

    monkeypatch.setattr(battleship, "Board", Spy)
    printed("--iterations", "60")
    assert len(trained) > 1
    assert {(width, height) for width, height, _ in trained} == {(5, 5)}
    assert {size for width, height, _ in tested for size in (width, height)} == {5, 6, 7, 8, 9}
    assert not set(trained) & set(tested)
    assert tested[:10] == tested[10:20], "each version plays on the same boards"


# the yardsticks (percent of ship cells hit after half of w*h shots), each measured on 100 boards
# when the protocol was written down: the sampling error of either side is about 2


def first_unknown(map):
    return next([i, row.index(".")] for i, row in enumerate(map) if "." in row)


def unseen(rng):
    return lambda map: rng.choice(
        [[i, j] for i, row in enumerate(map) for j, cell in enumerate(row) if cell == "."]
    )


def on_the_slide(map):
    """The learned policy in the slide's own words."""
    max_surrounding = -1
    best_spot = [0, 0]
    height, width = len(map), len(map[0])
    for i in range(height):
        for j in range(width):
            if map[i][j] == ".":
                surrounding = 0
                for di, dj in [(-1, 0), (1, 0), (0, -1), (0, 1)]:
                    ni, nj = i + di, j + dj
                    if 0 <= ni < height and 0 <= nj < width:
                        if map[ni][nj] == ".":
                            surrounding += 1
                        elif map[ni][nj] == "X":
                            surrounding += 1.5
                if surrounding > max_surrounding:
                    max_surrounding = surrounding
                    best_spot = [i, j]
    return best_spot


@pytest.mark.parametrize(
    ("policy", "yardstick", "tolerance"),
    [
        (lambda map: [0, 0], 1.5, 1),
        (unseen(random.Random(0)), 51.4, 4),
        (first_unknown, 52.6, 4),
        (on_the_slide, 76.1, 3),
    ],
    ids=["corner", "random", "enumeration", "slide"],
)
def test_yardsticks(policy, yardstick, tolerance):
    assert held_out(policy, boards=300) == pytest.approx(yardstick, abs=tolerance)


def test_whoever_always_fails_hits_nothing_and_comes_to_an_end():
    assert held_out(trace.bundle(lambda map: map[99]), boards=3) == 0
    assert held_out(lambda map: [-1, 0], boards=3) == 0


def test_whoever_shoots_off_the_board_loses_only_the_shot():
    turns = iter(range(10**6))
    other = held_out(lambda map: first_unknown(map) if next(turns) % 2 else None, boards=50)
    assert 20 < other < 32  # about half of what enumeration hits


# the game


@given(st.randoms(use_true_random=False), st.integers(4, 9), st.integers(4, 9))
def test_fleets_lie_on_the_board_and_do_not_overlap(rng, width, height):
    board = Board(rng, width, height)
    assert len(board.fleet) == sum(SHIPS)
    assert all(0 <= row < height and 0 <= column < width for row, column in board.fleet)
    assert [len(row) for row in board.view()] == [width] * height


def test_a_game_to_its_end():
    board = Board(random.Random(0))
    sea = {(row, column) for row in range(5) for column in range(5)} - board.fleet
    row, column = min(sea)
    assert board.fire([row, column]).data == f"Got 0 reward: missed at [{row}, {column}]."
    said = board.fire((row, column)).data
    assert said == f"Got 0 reward: [{row}, {column}] was shot at before."
    assert board.view()[row][column] == "O"
    assert (board.hits, board.sunk) == (0, False)
    for row, column in board.fleet:
        assert board.fire([row, column]).data == f"Got 1 reward: hit at [{row}, {column}]."
        assert board.fire([row, column]).data.startswith("Got 0 reward")
    assert (board.hits, board.sunk) == (8, True)


@pytest.mark.parametrize(
    "target", [None, [-1, 0], [0, -1], [5, 0], [0, 7], [0], [0, 0, 0], "00", 3, [None, 1], [0.5, 1]]
)
def test_no_cell(target):
    board = Board(random.Random(0), width=7, height=5)
    before = board.view()
    with pytest.raises(ValueError, match="is no .row, column. of a board of 5 rows and 7 columns"):
        board.fire(target)
    assert board.view() == before


def test_players_cannot_write_to_the_map():
    board = Board(random.Random(0))
    for row in board.view():
        row[:] = "XXXXX"
    assert board.hits == 0


def test_what_a_shot_says_depends_on_both_functions():
    for code in ("return plan", "return plan[9]"):
        policy = Policy()
        policy.load_state_dict({"act:code": f"def act(self, map, plan):\n    {code}"})
        graph = shoot(policy, Board(random.Random(0))).backward("better")
        assert set(graph.parameters) == set(policy.parameters())


# the scripted model reads its prompt


def test_each_answer_needs_the_failing_code_and_the_feedback(played_by):
    llm = scripted()
    played_by(llm)
    useful = [exchange for exchange in llm.calls if exchange.reply != USELESS]
    assert len(useful) == len(ANSWERS)

    def reply(prompt):
        turns = [{"role": "user", "content": prompt.removeprefix("user: ")}]
        return asyncio.run(scripted().complete(turns)).text

    for exchange, answer in zip(useful, ANSWERS, strict=True):
        assert answer.code in exchange.reply
        assert reply(exchange.prompt) == exchange.reply
        assert reply(FEEDBACK.sub("", exchange.prompt)) == USELESS
        assert reply(FEEDBACK.sub("<feedback>\nno good\n</feedback>", exchange.prompt)) == USELESS
        assert reply(CODE.sub("<value>\n</value>", exchange.prompt)) == USELESS


@pytest.mark.parametrize("missing", [FEEDBACK, CODE], ids=["feedback", "code"])
def test_it_stays_put_without_them(played_by, missing):
    llm = scripted()

    async def answer(messages):
        return await llm.complete(
            [{**m, "content": missing.sub("", m["content"])} for m in messages]
        )

    text = played_by(trace.CallableLLM(answer, "blindfolded"), "--iterations", "4")
    assert percentages(text) == [0] * 5
    assert {exchange.reply for exchange in llm.calls} == {USELESS}


@given(st.integers(1, 6), st.integers(1, 6), st.randoms(use_true_random=False))
def test_its_last_answer_is_the_policy_of_the_slide(width, height, rng):
    policy = Policy()
    policy.load_state_dict({f"{answer.name}:code": answer.code for answer in ANSWERS})
    map = [rng.choices(".XO", k=width) for _ in range(height)]
    assert policy(map).data == on_the_slide(map)


# other models


def test_the_exception_of_a_bad_proposal_becomes_feedback(played_by):
    bad = "def reason(self, map):\n    return [0, map[0, 0]]"
    good = "def reason(self, map):\n    return [1, 1]"
    plan = "def act(self, map, plan):\n    return plan"
    failing = re.compile(
        r"<feedback>.*\(TypeError\) list indices must be integers.*"
        r"return \[0, map\[0, 0\]\]  # <-- TypeError.*</feedback>",
        re.DOTALL,
    )
    missing = re.compile(r"<feedback>[^<]*None is no")  # not what was said of an earlier policy
    variable = '<variable name="{}_code">\n{}\n</variable>'
    llm = (
        ScriptedLLM()
        .when(failing, reply=variable.format("reason", good))
        .when(missing, reply=variable.format("reason", bad) + variable.format("act", plan))
    )
    text = played_by(llm, "--iterations", "3")
    assert percentages(text)[:2] == [0, 0]
    assert percentages(text)[2] == percentages(text)[3] > 0
    assert "after: (TypeError) list indices must be integers" in text.splitlines()[2]


def test_a_model_by_its_litellm_name(provider, monkeypatch, few_boards):
    provider.answer = lambda body: asyncio.run(scripted().complete(body["messages"])).text
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("OPENAI_API_BASE", provider.url)
    text = printed("--llm", "openai/some-model", "--iterations", "5")
    assert percentages(text)[0] == 0
    assert 70 < percentages(text)[-1] < 82
    assert {match["model"] for match in LINE.finditer(text)} == {"openai/some-model"}
    assert "scripted" not in text
    assert ANSWERS[-1].code in text, "what was learned is printed, to be kept"
    asked = {(key, body["model"]) for key, body in provider.requests}
    assert asked == {("Bearer secret", "some-model")}
