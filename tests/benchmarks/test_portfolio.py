"""The portfolio benchmark: its tasks, its scripted model, and its figures on a few seeds."""

import pytest

from benchmarks.portfolio import AUTO, SINGLE, Row, measured, missed, regret
from benchmarks.portfolio_tasks import JOINT, SUITE, World, write


@pytest.mark.parametrize("problem", [*SUITE, JOINT], ids=lambda problem: problem.name)
def test_every_task_leaves_room_and_is_the_same_for_a_seed(problem):
    before = [problem.quality({}, seed) for seed in range(3)]
    assert max(before) < 0.75
    assert before == [problem.quality({}, seed) for seed in range(3)]


def test_worlds_differ_by_seed():
    assert World.drawn(0) == World.drawn(0)
    assert World.drawn(0) != World.drawn(1)


@pytest.mark.parametrize("name", [name for name in SINGLE if name not in ("optuna", "bootstrap")])
def test_the_scripted_model_reads_the_prompts_of_all_that_write(name, monkeypatch, request):
    if name == "gepa":
        request.getfixturevalue("gepa")
    reply = SUITE[0]
    assert reply.run(name, 0)[0] > 0.4
    monkeypatch.setattr("benchmarks.portfolio_tasks.write", lambda prompt: None)
    assert reply.run(name, 0)[0] == 0.0


def test_the_scripted_model_is_helpless_without_feedback():
    shown = '<variable name="rules" kind="prompt">\n<value>\nBe polite.\n</value>\n</variable>'
    assert write(shown) is None
    told = write(f"{shown} score 0: there is no rule for refunds")
    assert told == '<variable name="rules">Be polite. The rule for refunds: look it up.</variable>'


def test_auto_composes_what_no_single_optimizer_can():
    joint = measured(JOINT, range(2), ("optoprime", "optuna", "bootstrap"))
    assert min(joint.after[AUTO]) > max(joint.after[joint.best])


def test_what_is_missed_is_told():
    def row(auto):
        return Row(SUITE[0], [0.0, 0.0], {"opro": [0.5, 0.5], AUTO: [auto, auto]}, {})

    assert regret([row(0.5), row(0.4)]) == pytest.approx(0.1)
    assert missed([row(0.5)], row(0.6)) == []
    assert len(missed([row(0.4)], row(0.5))) == 2
