"""The BBH benchmark on synthetic rows of its format: protocol, recording, and a short run."""

import json
import warnings

import dspy
import pytest

from benchmarks.bbh import BETTER, CODE, START, main, proposals
from benchmarks.bbh_tasks import TRAIN, VALIDATION, recorded_lm, right, said, tasks

HELD_OUT = 20


def rows(number):
    """Sums that are right with a chain of thought, and half of the time without."""
    for n in range(number):
        yield {
            "question": f"What is {n} plus 1?\nAnswer with a number.",
            "answer": str(n + 1),
            "direct": str(n + n % 2),
            "cot": f"{n} and 1 make {n + 1}. So the answer is {n + 1}.",
        }


@pytest.fixture
def folder(tmp_path):
    lines = [json.dumps(row) for row in rows(TRAIN + VALIDATION + HELD_OUT)]
    (tmp_path / "sums.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def test_the_split_is_in_file_order(folder):
    [task] = tasks(folder)
    assert task.name == "sums"
    numbers = [int(row["answer"]) - 1 for part in task[1:] for row in part]
    assert numbers == list(range(40))
    assert [len(part) for part in task[1:]] == [15, 5, 20]
    assert len(tasks(folder, most=3)[0].held_out) == 3


@pytest.mark.parametrize(
    ("target", "prediction", "expected"),
    [
        ("(B)", "It is (A) or rather (B).", True),
        ("(B)", "(B), not (A)", False),
        ("(B)", "B", False),
        ("No", "No", True),
        ("No", "no", False),
        ("8", "8 ", False),
        ("8", None, False),
    ],
)
def test_the_published_metric(target, prediction, expected):
    assert right(target, prediction) is expected
    assert ("correct" in said(target, prediction)) is expected


def test_the_recording_has_two_behaviours_and_knows_nothing_else():
    [row] = rows(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # DummyLM is of a kind that DSPy 3.4 calls deprecated
        with dspy.context(lm=recorded_lm([row])):
            for instructions, kept in ((START, "direct"), (BETTER, "cot")):
                predict = dspy.Predict(dspy.Signature("question -> answer", instructions))
                assert predict(question=row["question"]).answer == row[kept]
            with pytest.raises(Exception, match="no answer was recorded to 'Who"):
                predict(question="Who?")


def test_the_scripted_model_needs_to_see_the_fault():
    shown = f'<variable name="p" kind="prompt">\n<value>\n{START}\n</value>\n</variable>\n# run 1\n'
    assert proposals(f"{shown}all well") is None
    assert BETTER in proposals(f"{shown}{said('8', '7')}")
    code = '<variable name="c" kind="code">\n<value>\nsplit("Answer:")\n</value>\n</variable>\n'
    assert proposals(f"{code}# run 1\n{said('8', '7')}") is None
    assert CODE in proposals(f"{code}# run 1\n    return x  # <-- IndexError")


def test_a_short_run(folder, capsys):
    with warnings.catch_warnings():
        main(["--data", str(folder)])
    out = capsys.readouterr().out
    line = next(line for line in out.splitlines() if line.startswith("sums"))
    initial, prompt, code, both, copro, gepa = map(float, line.split()[2:8])
    assert (initial, prompt, copro, gepa) == (0, 0, 0, 0)
    assert (code, both) == (50, 100)
    assert out.count("recorded") >= 3
    assert "optimizer: scripted" in out
    assert "all that must hold does" in out


def test_it_fails_if_the_code_does_not_reach_the_prompt(folder, monkeypatch, capsys):
    monkeypatch.setattr("trace_bridge.graph.program.Program._steps", lambda *_: [])
    with warnings.catch_warnings(), pytest.raises(SystemExit, match="1"):
        main(["--data", str(folder), "--held-out", "5"])
    assert "MISSED: both beat code only" in capsys.readouterr().out


def test_without_data_it_says_where_to_get_them(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["--data", str(tmp_path)])
    said = capsys.readouterr().err
    assert "MIT-licensed" in said
    assert "suzgunmirac/BIG-Bench-Hard" in said.replace("\n", "")
