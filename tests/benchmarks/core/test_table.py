"""Which rows hold."""

import pytest

from benchmarks.core.table import Goal, Row, heading, summary

FASTER = Goal(20, 30)
SMALLER = Goal(450, 350, "B", least=False)


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (Row("speed", value=31, goal=FASTER), "ok, aim"),
        (Row("speed", value=20, goal=FASTER), "ok"),
        (Row("speed", value=19.9, goal=FASTER), "MISSED"),
        (Row("bytes", value=300, goal=SMALLER), "ok, aim"),
        (Row("bytes", value=450, goal=SMALLER), "ok"),
        (Row("bytes", value=451, goal=SMALLER), "MISSED"),
        (Row("edges", value=31, goal=FASTER, wrong="edges differ"), "MISSED"),
        (Row("fails", wrong="trace_bridge: no answer"), "MISSED"),
        (Row("shown", value=0.5, goal=Goal(None, 8)), ""),
        (Row("shown", value=0.5), ""),
    ],
)
def test_verdicts(row, verdict):
    assert row.verdict == verdict
    assert row.held is (verdict != "MISSED")
    assert row.what in row.line()
    assert verdict in row.line()


def test_a_line_says_what_was_wanted_and_what_was_found():
    row = Row("a + b", "57 us", "0.3 us", 171, FASTER, "171x (160-180)", "edges 2 | 2")
    for said in ("57 us", "0.3 us", "171x (160-180)", ">= 20x", ">= 30x", "ok, aim", "edges 2 | 2"):
        assert said in row.line()


@pytest.mark.parametrize(
    ("goal", "must"),
    [
        (SMALLER, "<= 450 B"),
        (Goal(0, 0, "B", least=False), "0"),
        (Goal(0.1, 0.04, "s", least=False), "<= 100 ms"),
        (Goal(1.15, 1.1, "", least=False), "<= 1.15"),
        (Goal(), ""),
    ],
)
def test_a_bound_is_shown_in_its_unit(goal, must):
    assert goal.show(goal.must) == must


def test_the_heading_names_the_peer():
    assert "textgrad" in heading("Beside textgrad", "textgrad")


def test_the_summary_counts_what_has_to_hold_and_names_what_does_not():
    fast, slow = Row("fast", value=40, goal=FASTER), Row("  slow", value=4, goal=FASTER)
    groups = {"Calls": [fast, slow], "Shown": [Row("shown")]}
    assert summary(groups) == "1 of 2 rows hold\nMISSED: Calls: slow"
