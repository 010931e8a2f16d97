"""The AutoGen benchmark: what it runs is what it says, and it fails when a bound is missed."""

import pytest

from benchmarks import autogen
from benchmarks.autogen_programs import make, run

ROWS = ("idle", "recording", "recording, edges built", "evaluating / a new team")


def test_every_way_runs_the_team():
    team = make(4)
    bare, copies = autogen.evaluating(team, 4)
    assert bare() > 0
    assert run(team) > 0
    for way in (*autogen.ways(team).values(), *copies.values()):
        with way() as call:
            assert call() > 0
    assert not team._is_running


def test_the_recorded_graph_has_what_each_turn_heard():
    sizes = [tuple(map(int, autogen.size(make(n)).split()[::2])) for n in (2, 4)]
    assert sizes[0][0] < sizes[1][0]
    # each model call hears what was said before it, so edges grow faster than nodes
    assert sizes[1][1] / sizes[1][0] > sizes[0][1] / sizes[0][0]


@pytest.mark.parametrize(("recording", "code"), [(1.1, None), (1.2, 1)])
def test_it_fails_where_a_bound_is_missed(recording, code, monkeypatch, capsys):
    figures = {"idle": 1.0, "recording": recording, "recording, edges built": 1.5}
    copied = {"evaluating / a new team": 1.4}
    monkeypatch.setattr(autogen, "openinference", lambda *_: {"4 turns": 1.63, "20 turns": 1.5})
    monkeypatch.setattr(
        autogen, "ratios", lambda bare, ways, *_: figures if "idle" in ways else copied
    )
    if code is None:
        autogen.main(["--quick"])
    else:
        with pytest.raises(SystemExit, match="1"):
            autogen.main(["--quick"])
    out = capsys.readouterr().out
    assert all(row in out for row in ROWS)
    assert "1.63x" in out
    assert ("MISSED: 20 turns: recording" in out) == (code == 1)
