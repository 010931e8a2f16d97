import io
from dataclasses import replace

import pytest

from trace_bridge.llm.base import Usage
from trace_bridge.optimizers.base import Trial
from trace_bridge.report.terminal import LiveView, summary
from trace_bridge.training.records import Baseline, Progress, RunRecord, Verdict

PROGRESS = Progress("validation", evaluations=3, total=20, reused=0, calls=7)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_elsewhere_than_on_a_terminal_only_notes_are_written():
    stream = io.StringIO()
    view = LiveView(stream)
    view(PROGRESS)
    view(replace(PROGRESS, note="candidate 1 [accepted]", reused=2))
    view.close()
    assert stream.getvalue() == ("[3/20 evaluations (2 reused), 7 calls]  candidate 1 [accepted]\n")


@pytest.mark.parametrize("note", ["plain", "[red]not markup[/red]", "[/]", "[bold"])
def test_on_a_terminal_there_is_a_live_line_and_notes_stay(note):
    stream = Terminal()
    view = LiveView(stream)
    view(PROGRESS)
    view(replace(PROGRESS, best=0.5, note=note))
    view.close()
    view.close()  # once more does no harm
    text = stream.getvalue()
    assert f"[3/20 evaluations, 7 calls]  {note}\n" in text
    assert text.endswith("\x1b[?25h") or "\x1b[?25h" in text  # the cursor is back


@pytest.mark.parametrize("stage", ["minibatch", "odd [/stage]", "[red]"])
def test_any_stage_can_be_shown(stage):
    stream = Terminal()
    view = LiveView(stream)
    view(replace(PROGRESS, stage=stage, best=0.25))
    view.close()
    assert f"{stage}, validation 0.250" in stream.getvalue()


def test_a_view_that_showed_nothing_can_be_closed():
    stream = Terminal()
    LiveView(stream).close()
    assert stream.getvalue() == ""


def test_standard_error_is_the_default(capsys):
    LiveView()(replace(PROGRESS, note="here"))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "here" in captured.err


ORIGINAL = Trial(0, {"p": "a"}, {0: 0.5}, "original")
RUN = RunRecord(
    trials=(ORIGINAL, Trial(1, {"p": "b"}, {0: 1.0}, "accepted")),
    best=ORIGINAL,
    found=ORIGINAL,
    verdict=Verdict(False, why="there was nothing to compare"),
    held_out={},
    evaluations=12,
    reused=4,
    usage=Usage(calls=30, prompt_tokens=100, completion_tokens=50, seconds=2.6),
    session=Usage(calls=10),
    seconds=1.2,
    stopped="",
)


def test_the_summary_tells_verdict_search_and_cost():
    assert summary(RUN).splitlines() == [
        "no reliable gain: there was nothing to compare",
        "search: 1 candidates tried; ended because it was complete",
        "cost: 12 evaluations, 30 model calls, 150 tokens, 3 s of waiting for models",
        "this session: 4 evaluations reused from the journal, 10 model calls made, 1 s",
    ]


def test_the_summary_tells_what_else_there_is():
    run = replace(
        RUN,
        stopped="the budget is spent",
        usage=Usage(calls=30, cached=5),
        baselines=(Baseline("first rows", {}, 0.75, {0: 0.5, 1: 1.0}),),
        warnings=("few examples", "no seed"),
    )
    text = summary(run)
    assert "baseline first rows: 0.750 on the same 2 examples" in text
    assert "ended because the budget is spent" in text
    assert "30 model calls (5 from a cache)" in text
    assert text.endswith("warning: few examples\nwarning: no seed")


@pytest.mark.parametrize(
    ("usage", "said"),
    [
        (Usage(3), "0 tokens, 0 s"),
        (Usage(3, dollars=0.125, priced=3), "0 tokens, $0.1250, 0 s"),
        (Usage(3, cached=1, dollars=0.125, priced=2), "0 tokens, $0.1250, 0 s"),
        (Usage(3, priced=3), "0 tokens, $0.0000, 0 s"),
        (
            Usage(3, dollars=0.125, priced=1),
            "0 tokens, at least $0.1250 (of 2 calls the price is unknown), 0 s",
        ),
        (Usage(3, priced=1), "0 tokens, 0 s"),  # one that failed
    ],
)
def test_the_summary_tells_what_is_known_of_the_price(usage, said):
    assert said in summary(replace(RUN, usage=usage))
