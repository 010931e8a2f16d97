"""The robustness benchmark: its replies in all forms, its scripted model, and our side of it."""

import json
import warnings

import pytest

from benchmarks.core.peers import ENVIRONMENTS, OURS, PINS
from benchmarks.core.process import Worker
from benchmarks.robustness import __main__ as main
from benchmarks.robustness import forms, rows
from benchmarks.robustness.attempt import OLD, OutageError, Scripted, attempted
from benchmarks.robustness.letter import LETTER, Office, Step, ink, pot_of, reader, write, written
from benchmarks.robustness.ours import Side
from benchmarks.robustness.replies import CORPUS, outcome, spoken
from benchmarks.robustness.rows import PEERS, SIDES, Line, Settings
from tests.optimizers.bad_replies import Case, var

QUICK = Settings(seeds=2, chances=1, writers=(4,))


@pytest.fixture(scope="module")
def ours():
    return Side()


# ------------------------------------------------------------------ replies in all forms


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (
            Case("", var("Reply.")),
            (
                '{"reasoning": "", "answer": "", "suggestion": {"p0": "Reply."}}',
                "<IMPROVED_VARIABLE>Reply.</IMPROVED_VARIABLE>",
                "```\nReply.\n```\n",
            ),
        ),
        (
            Case("", '<variable name="p">\nReply in'),
            (
                '{"reasoning": "", "answer": "", "suggestion": {"p0": "Reply in',
                "<IMPROVED_VARIABLE>Reply in",
                "```\nReply in",
            ),
        ),
        (
            Case("", var("Reply.")[:-4]),
            (
                '{"reasoning": "", "answer": "", "suggestion": {"p0": "Reply."',
                "<IMPROVED_VARIABLE>Reply.</IMPROVED",
                "```\nReply.\n``",
            ),
        ),
        (
            Case("", f"No.\n{var('# run 1')}\nBye."),
            (
                'No.\n{"reasoning": "", "answer": "", "suggestion": {"p0": "#Outputs"}}\nBye.',
                "No.\n<IMPROVED_VARIABLE><LM_OUTPUT></IMPROVED_VARIABLE>\nBye.",
                "No.\n```\n## Generated Outputs\n```\n\nBye.",
            ),
        ),
        (Case("", '{"p": null}'), ('{"suggestion": {"p0": null}}', None, None)),
        (Case("", "Sorry."), ("Sorry.", "Sorry.", "Sorry.")),
        (Case("", var("3"), kind="number", old=2), (
            '{"reasoning": "", "answer": "", "suggestion": {"p0": "3"}}', None, None,
        )),
    ],
)  # fmt: skip
def test_a_mistake_is_the_same_in_each_sides_form(case, expected):
    assert tuple(spoken(case, "", side) for side in PEERS) == expected
    assert spoken(case, "", OURS) == case.reply


def test_every_group_of_the_corpus_reaches_trace_opt_in_json():
    for group, cases in CORPUS.items():
        for case in cases:
            reply = spoken(case, group, "trace-opt")
            assert "<variable" not in reply
            if case.new is not None and case.reply == var(case.new):
                assert json.loads(reply)["suggestion"] == {"p0": case.new}


@pytest.mark.parametrize(
    ("case", "answer", "expected"),
    [
        (Case("", ""), {"value": OLD, "why": "cut off"}, "told"),
        (Case("", ""), {"value": OLD, "why": ""}, "silent"),
        (Case("", ""), {"value": "Reply."}, "GARBAGE"),
        (Case("", ""), {"value": OLD, "raised": "IndexError"}, "IndexError"),
        (Case("", "", new="Reply."), {"value": "Reply.\n"}, "meant"),
        (Case("", "", new="Reply."), {"value": "Rep"}, "GARBAGE"),
        (Case("", "", new="Reply."), {"value": OLD, "why": "no"}, "lost"),
        (Case("", "", old=False), {"value": 0}, "GARBAGE"),
        (Case("", "", old=2, new=3, kind="number"), {"value": 3}, "meant"),
        (Case("", "", old="x = 1", new="x = 2", kind="code"), {"value": "x=2\n"}, "meant"),
        (Case("", "", old="x = 1", kind="code"), {"value": "x ="}, "GARBAGE"),
    ],
)
def test_what_became_of_a_reply(case, answer, expected):
    assert outcome(case, {"raised": "", "why": "", **answer}) == expected


def test_what_a_step_said_and_raised():
    def fails():
        warnings.warn("half way", stacklevel=1)
        raise LookupError

    assert attempted(fails) == ("LookupError", "half way")
    model = Scripted("yes", failures=1)
    with pytest.raises(OutageError):
        model.answer("a long prompt")
    assert (model.answer("a"), model.calls, model.longest) == ("yes", 2, 13)


# ------------------------------------------------------------------ the letter


@pytest.mark.parametrize("k", [4, 8])
def test_one_writer_is_at_fault_and_no_text_says_who(k):
    places = set()
    for seed in range(60):
        office = Office(k, seed)
        wrong = [name for name, text in office.prompts.items() if ink(pot_of(text)) != "blue"]
        assert wrong == [office.guilty]
        places.add(list(office.prompts).index(office.guilty))
        texts = {text.partition("pot ")[0] for text in office.prompts.values()}
        assert texts == {"Write your part of the letter with "}
        plans = office.plans()
        said = [office.feedback("\n".join(written(plan, office.prompts))) for plan in plans]
        assert min(said)[0] == 0
        assert not office.mended(office.prompts)
    assert len(places) == k


def test_runs_are_the_same_for_a_seed_and_branch():
    plans = Office(8, 3).plans()
    assert plans == Office(8, 3).plans()
    assert any(len(before) < at for plan in plans for at, (_, before) in enumerate(plan.steps))


SAID = "A part of the letter has teal ink, and all of it is to have blue ink, as pot 40 gives."


def test_the_scripted_model_needs_feedback_and_steps():
    values = {"a": "with pot 12", "b": "with pot 14"}
    first, second = write(values["a"], LETTER), write(values["b"], LETTER, "Part 1 has blue ink.")
    steps = [Step("a", "", first), Step("b", first, second)]
    assert reader(values, steps, SAID, careful=True) == {"b": "with pot 40"}
    assert reader(values, steps, "It is bad.", careful=True) == {}
    assert reader(values, [], SAID, careful=True) == {}
    assert reader(values, [], SAID, careful=False) == {"a": "with pot 40"}
    # who has only read of it is not at fault
    assert reader(values, [Step("a", second, second)], SAID, careful=True) == {}


def test_trace_opts_prompt_is_read():
    sections = {
        "Code": "write1 = write(prompt=b0, letter=letter0, args_0=write0)\n"
        "all0 = write_all(args_0=write1)",
        "Variables": "(str) a0=pot 12\n(str) b0=pot 14",
        "Inputs": "(str) letter0=Dear\n(str) write0=one",
        "Others": "(str) write1=one\ntwo",
        "Feedback": SAID,
    }
    body = "".join(f"#{title}\n{text}\n\n" for title, text in sections.items())
    shown = f"#Code: what it is.\nNow you see problem instance:\n\n=====\n\n{body}=====\n"
    values, steps, feedback = forms.trace_opt(shown)
    assert values == {"a0": "pot 12", "b0": "pot 14"}
    assert steps == [Step("b0", "Dear\none", "one\ntwo")]
    assert SAID in feedback


def test_gepas_prompt_is_read():
    signature = pytest.importorskip("gepa.strategies.instruction_proposal")
    record = {"Inputs": {"texts": "one"}, "Generated Outputs": "one\ntwo", "Feedback": SAID}
    shown = signature.InstructionProposalSignature.prompt_renderer(
        {"current_instruction_doc": "pot 14", "dataset_with_feedback": [record, record]}
    )
    values, steps, feedback = forms.gepa(shown)
    assert values == {"": "pot 14"}
    assert [step.wrote.strip() for step in steps] == ["one\ntwo"] * 2
    assert "one" in steps[0].read
    assert feedback.count(SAID) == 2


# ------------------------------------------------------------------ our side


def test_our_side_finds_the_fault_at_once_and_hides_nothing_from_the_model(ours, monkeypatch):
    found = ours.credit(k=4, seed=1, most=3)
    assert found == {"right": True, "others": 0, "proposals": 1, "calls": 1}
    assert ours.credit(k=4, seed=1, most=3, careful=False)["right"]
    monkeypatch.setattr("trace_bridge.graph.program.Program._steps", lambda *_: [])
    assert ours.credit(k=4, seed=1, most=3)["proposals"] is None  # without steps nobody is found


@pytest.mark.usefixtures("gepa")
def test_our_own_rows_hold(ours):
    def ask(side, case, *, apart=False, **options):
        assert side == OURS
        return getattr(ours, case)(**options)

    for table in (rows.loops, rows.steps, rows.credit, rows.chance):
        made = list(table(only(ask), QUICK))
        assert [line.what for line in made if not line.held] == []
        assert any(line.verdict == "ok" for line in made)


@pytest.mark.usefixtures("gepa")
def test_one_group_of_replies_through_our_side(ours, monkeypatch):
    monkeypatch.setattr(rows, "CORPUS", {"names": CORPUS["names"]})
    made = list(rows.replies(only(lambda _, case, **o: getattr(ours, case)(**o)), QUICK))
    assert made[0].cells[OURS] == "3 told"
    assert all(line.held for line in made)


def test_a_reply_that_is_adopted_by_ours_is_missed(monkeypatch):
    monkeypatch.setattr(rows, "CORPUS", {"names": CORPUS["names"]})
    adopted = {"value": "Reply.", "why": "", "raised": ""}
    made = list(rows.replies(lambda *_, **__: adopted, QUICK))
    assert [line.what for line in made if not line.held] == [
        "names (3)", "changed to garbage", "all, our opro", "all, our textgrad", "all, our gepa",
    ]  # fmt: skip


def only(ask):
    """Ours is asked; the others answer as a side that does nothing."""
    nothing = {
        "value": OLD, "why": "", "raised": "", "calls": 0, "ended": "", "changed": False,
        "characters": 0, "right": False, "others": 0, "proposals": None, "evaluations": 0,
    }  # fmt: skip
    return lambda side, case, **o: ask(side, case, **o) if side == OURS else nothing


# ------------------------------------------------------------------ the driver


def test_a_worker_of_this_benchmark(tmp_path):
    worker = Worker(OURS, tmp_path, "benchmarks.robustness.worker")
    try:
        assert worker.ask("calls", examples=3) == {"calls": 1, "changed": True}
        ended = worker.ask("code", apart=True, new="def act(x, scale=1):\n    return 9\n")
        assert ended["adopted"]
        assert "9" not in ended["why"]  # a fork's changes end with it
    finally:
        worker.stop()


def test_the_table_and_the_exit_code(monkeypatch, capsys):
    class Fake:
        side, versions = OURS, {"trace_bridge": "1"}

        def __init__(self, side, *_):
            self.side = side

        def stop(self):
            """Nothing runs."""

    def rows_of(*lines):
        return lambda ask, settings: iter(lines)

    good = Line("first", {OURS: "3 told", "gepa": "3 GARBAGE"}, "told")
    monkeypatch.setattr("benchmarks.core.process.Worker", Fake)
    monkeypatch.setitem(rows.TABLE, "loops", ("Loops", rows_of(good)))
    main.main(["--quick", "--rows", "loops"])
    out = capsys.readouterr().out
    assert "3 told" in out
    assert "1 of 1 rows hold" in out
    assert "scripted" in out
    monkeypatch.setitem(rows.TABLE, "loops", ("Loops", rows_of(good, Line("second", wrong="no"))))
    with pytest.raises(SystemExit, match="1"):
        main.main(["--quick", "--rows", "loops"])
    assert "MISSED: Loops: second" in capsys.readouterr().out


def test_every_peer_has_pins():
    assert all((PINS / f"{side}.txt").exists() for side in PEERS)
    assert set(SIDES) == {OURS, *PEERS}


BUILT = all((ENVIRONMENTS / side / "installed.txt").exists() for side in PEERS)


@pytest.mark.slow
@pytest.mark.skipif(not BUILT, reason="python -m benchmarks.robustness builds the environments")
def test_the_peers_do_as_their_issues_say(capsys):
    main.main(["--quick"])
    out = capsys.readouterr().out

    def of(name):
        return next(line for line in out.splitlines() if line.startswith(name))

    assert "14 IndexError" in of("no form at all")  # zou-group/textgrad#15
    assert "12 GARBAGE" in of("cut off")  # gepa-ai/gepa#390
    assert "3 calls, IndexError" in of("always refuses")
    assert "10 + 3 agent's" in of("model calls, 3 examples")
    assert "MISSED" not in out
