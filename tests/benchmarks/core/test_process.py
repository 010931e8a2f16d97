"""The worker of our own side: requests in, answers out, limits kept."""

import pytest

from benchmarks.core import rows, session, worker
from benchmarks.core.__main__ import main, measured
from benchmarks.core.clock import cap
from benchmarks.core.process import Worker, WorkerError
from benchmarks.core.session import Session, Settings
from benchmarks.core.sides import Ours
from benchmarks.core.table import Row

OURS = "trace_bridge"


@pytest.fixture
def ours(tmp_path):
    worker = Worker(OURS, tmp_path / "home")
    yield worker
    worker.stop()


def test_it_runs_cases_here_and_apart(ours):
    found = ours.ask("bundled", loops=50)
    assert found["seconds"] > 0
    assert found["parents"] == 2
    apart = ours.ask("backward", apart=True, shape="chain", count=50, capped=None)
    assert apart["edges"] == 50
    assert set(ours.versions) == {OURS}


def test_a_case_that_takes_too_long_is_stopped_alone(monkeypatch):
    def busy(_side):
        cap(0)
        while True:
            pass

    monkeypatch.setitem(worker._COUNTED, "busy", busy)
    assert worker.run_apart(Ours(), "busy", {}) == {"stopped": "CPU"}


def test_a_worker_that_fails_says_why_and_starts_again(ours):
    with pytest.raises(WorkerError, match="trace_bridge: KeyError: 'no such case'"):
        ours.ask("no such case")
    assert ours.ask("add", loops=10)["parents"] == 2


def test_a_fork_that_fails_is_told_from_one_that_was_capped(ours):
    failed = ours.ask("backward", apart=True, shape="no such shape", count=1)
    assert failed == {"stopped": "an error (exit code 1)"}


def test_rounds_are_paired(tmp_path):
    """With ours as its own peer, which takes as long."""
    run = Session(Settings(rounds=5), tmp_path)
    try:
        run.workers["twin"] = Worker(OURS, tmp_path / "twin")
        pair = run.alternate("twin", "bundled", {"twin": 3000, OURS: 3000}, {})
        assert run.pairs("twin", "add").ratio.pairs == 5
        sizes, why = run.growing(OURS, "backward", [10, 30], shape="chain")
    finally:
        run.stop()
    assert pair.ratio.pairs == 5
    assert 1 / 3 < pair.ratio.median < 3
    assert pair.their_counts["parents"] == pair.our_counts["parents"] == 2
    assert [found["edges"] for found in sizes.values()] == [10, 30]
    assert not why


def test_a_peer_that_takes_long_gets_few_rounds(tmp_path, monkeypatch):
    monkeypatch.setattr(session.Worker, "ask", lambda *_args, **_named: {"seconds": 4.0})
    pair = Session(Settings(patience=6), tmp_path).alternate("peer", "x", {"peer": 1, OURS: 2}, {})
    assert (pair.ratio.pairs, pair.ratio.median) == (2, 2)


def test_growth_ends_where_the_peer_stops(tmp_path, monkeypatch):
    def ask(_worker, _case, *, count, capped=None, apart=False):
        asked.append((count, apart))
        return {"stopped": "CPU"} if count > 300 else {"seconds": float(count), "capped": capped}

    asked = []
    monkeypatch.setattr(session.Worker, "ask", ask)
    run = Session(Settings(cap=7, largest=3000), tmp_path)
    assert run.settings.sizes == [100, 300, 1000, 3000]
    found, why = run.growing("peer", "x", run.settings.sizes)
    assert list(found) == [100, 300]
    assert found[100]["capped"] == 7
    assert why == "7 s CPU at 1,000"
    assert asked == [(10, False), (100, True), (300, True), (1000, True)]  # imports come first


def test_equal_work_is_paired_the_larger_first_by_turns(tmp_path, monkeypatch):
    def ask(_worker, _case, *, count, loops=1, apart=False):
        asked.append((count, loops, apart))
        return {"seconds": float(loops)}

    asked = []
    monkeypatch.setattr(session.Worker, "ask", ask)
    pairs = Session(Settings(rounds=2, largest=3000), tmp_path).tenfold("x")
    assert pairs == [({"seconds": 10.0}, {"seconds": 1.0})] * 2
    small, large = (300, 10, True), (3000, 1, True)
    assert asked == [(10, 1, False), small, large, large, small]  # imports come first


def test_equal_work_that_fails_is_no_pair(tmp_path, monkeypatch):
    answers = iter([{}, {"seconds": 1.0}, {"stopped": "MemoryError"}])
    monkeypatch.setattr(session.Worker, "ask", lambda *_args, **_named: next(answers))
    with pytest.raises(WorkerError, match="stopped at 3,000: MemoryError"):
        Session(Settings(largest=3000), tmp_path).tenfold("x")


def rows_of(*made):
    return lambda _session: iter(made)


def test_the_table_is_printed_as_it_is_made_and_a_dead_worker_is_a_miss(
    tmp_path, monkeypatch, capsys
):
    def dies(_session):
        yield Row("first")
        raise WorkerError("trace-opt: no answer")

    monkeypatch.setitem(rows.TABLE, "calls", ("Calls", "trace-opt", dies))
    made = measured(Session(Settings(), tmp_path), ["calls"])
    assert [row.verdict for row in made["Calls"]] == ["", "MISSED"]
    printed = capsys.readouterr().out
    assert "trace-opt: no answer" in printed
    assert "all models are stubs" in printed


def test_it_fails_when_a_row_is_missed(monkeypatch, capsys):
    monkeypatch.setitem(rows.TABLE, "calls", ("Calls", "trace-opt", rows_of(Row("x", value=1))))
    main(["--rows", "calls"])
    missed = rows_of(Row("y", value=1, wrong="edges differ"))
    monkeypatch.setitem(rows.TABLE, "below", ("Below", "trace-opt", missed))
    with pytest.raises(SystemExit) as end:
        main(["--quick", "--rows", "calls", "below"])
    assert end.value.code == 1
    assert "MISSED: Below: y" in capsys.readouterr().out
