"""The numeric benchmark: its problems, its readers of prompts, and a short run of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import trace_bridge as tb
from benchmarks.numeric import BASELINE, READER, SHOWN, WITHOUT, by_optimizer, main, measured, ways
from benchmarks.numeric_chains import HIGH, LOW, START, Chain, chains
from benchmarks.numeric_solvers import GraphReader, WithoutCode, hill_climbing, read_program

PROBLEMS = chains(8)


class Shown:
    """Keeps the first prompt, and suggests nothing."""

    model = "scripted"
    prompt = ""

    async def complete(self, messages):
        self.prompt = self.prompt or messages[-1]["content"]
        return tb.Reply("nothing")


def prompt(chain, x=START, **options):
    p, llm = tb.Parameter(x, "x", kind="number", bounds=(LOW, HIGH)), Shown()
    optimizer = tb.OptoPrime([p], llm, **options)
    optimizer.backward(chain(p), (0.0, chain.said(x)))
    optimizer.step()
    return llm.prompt


def test_problems_are_the_same_for_a_seed_and_open_at_the_start():
    assert chains(8) == PROBLEMS
    assert chains(8, seed=1) != PROBLEMS
    for chain in PROBLEMS:
        assert not chain.within(chain.error(START), 0.01)
        assert chain.error(START) <= 100


def test_feedback_in_words_does_not_tell_the_goal():
    for chain in PROBLEMS:
        for x in (START, 0.3, 2.9):
            said = chain.said(x)
            assert f"{chain.goal:.6g}" not in said or said.endswith("right.")
            assert ("larger" in said) is (chain.output(x) < chain.goal)


@given(st.sampled_from(PROBLEMS), st.floats(LOW, HIGH))
def test_the_program_that_is_read_is_the_one_that_ran(chain, x):
    program = read_program(prompt(chain))
    x = chain.defined(x)
    assert program(x) == pytest.approx(chain(x), rel=1e-9)


def test_there_is_no_program_to_be_read_in_a_masked_prompt():
    for chain in PROBLEMS:
        text = prompt(chain, mask=True)
        assert read_program(text) is None
        assert chain.said(START) in text


def test_who_cannot_read_cannot_answer():
    masked, _ = by_optimizer(lambda x: tb.OptoPrime([x], GraphReader(), mask=True), PROBLEMS[0])
    assert set(masked) == {PROBLEMS[0].error(START)}


def test_without_code_nothing_but_the_output_matters():
    def steps(**options):
        return by_optimizer(lambda x: tb.OptoPrime([x], WithoutCode(), **options), PROBLEMS[1])[0]

    assert steps() == steps(mask=True)


def test_a_division_by_zero_is_stepped_beside():
    chain = Chain((("/", 1, (0,)), ("-", (1,), 3)), goal=1.0)
    assert 0 < abs(chain.defined(0.0)) < 1e-5
    assert 0 < abs(chain.defined(5e-324)) < 1e-5
    assert chain.defined(2.0) == 2.0
    edge = Chain((("-", (0,), 3), ("/", 1, (1,))))
    assert LOW <= edge.defined(HIGH) < HIGH


def test_the_baseline_keeps_the_range_and_gets_better():
    chain = PROBLEMS[0]
    tried = [x for x, _ in zip(hill_climbing(chain), range(60), strict=False)]
    assert all(LOW <= x <= HIGH for x in tried)
    assert min(map(chain.error, tried)) < chain.error(START) / 2


def test_a_short_run(capsys):
    main(["--programs", "12", "--seed", "2"])
    out = capsys.readouterr().out
    lines = {line[:28].strip(): line for line in out.splitlines()}
    for name in (BASELINE, READER, WITHOUT, "Adam, rate 0.1 **", "secant **", "Optuna, TPE *"):
        assert name in lines
    assert "yes" in lines[READER]
    assert "OPRO, OptoPrime, Masked and NoMem did not run" in out
    assert "scripted models" in out
    assert "3 examples, 1 prompt: OptoPrime 1, OPRO 1, our TextGrad 4" in out
    assert "all that must hold does" in out


def test_it_fails_if_the_program_does_not_reach_the_prompt(monkeypatch, capsys):
    monkeypatch.setattr("trace_bridge.graph.program.Program._steps", lambda *_: [])
    with pytest.raises(SystemExit, match="1"):
        main(["--programs", "3"])
    assert "MISSED: the graph reader reaches 90 %" in capsys.readouterr().out


def test_rows_of_a_model_run_only_with_one():
    model = tb.CallableLLM(lambda _: '<variable name="x">0.25</variable>', "scripted")
    extra = ways(model).keys() - ways(None).keys()
    assert extra == {"OPRO *", "OptoPrime", "Masked", "NoMem"}
    for name in sorted(extra):
        row = measured(name, ways(model)[name], PROBLEMS[:1])
        assert row.calls >= SHOWN[-1]
        assert row.median[5] == min(PROBLEMS[0].error(START), PROBLEMS[0].error(0.25))
