import contextlib
import sqlite3
import threading
import time

import pytest

from trace_bridge.llm.base import Usage
from trace_bridge.training.journal import Journal, JournalError, Spent


def journal(path, key="run", *, resume=True):
    return Journal(path, key, {"agent": "test"}, resume=resume)


def test_rows_survive_and_belong_to_their_run(tmp_path):
    path = tmp_path / "deep" / "runs.sqlite"
    first = journal(path)
    first.keep_evaluation("a", {"score": 1.0, "text": "ä"})
    first.keep_proposals("p", {"proposals": []})
    first.keep_trial(0, {"fate": "original"})
    first.close()
    again = journal(path)
    assert again.run == first.run
    assert again.evaluation("a") == {"score": 1.0, "text": "ä"}
    assert again.proposals("p") == {"proposals": []}
    assert again.evaluation("b") is None
    other = journal(path, "another")
    assert other.run != again.run
    assert other.evaluation("a") is None


def test_a_fresh_start_deletes_nothing(tmp_path):
    path = tmp_path / "runs.sqlite"
    journal(path).keep_evaluation("a", {"score": 1.0})
    fresh = journal(path, resume=False)
    assert fresh.evaluation("a") is None
    assert journal(path).run == fresh.run  # the latest is the one to resume
    rows = sqlite3.connect(path).execute("SELECT count(*) FROM evaluations").fetchone()
    assert rows == (1,)


class Enough(Exception):
    pass


def at_most(limit):
    def check(spent):
        if sum(of_model.calls for of_model in spent) >= limit:
            raise Enough

    return check


def test_calls_are_counted_before_they_are_made_and_never_exceed_the_limit(tmp_path):
    path = tmp_path / "runs.sqlite"
    numbers = []

    def spend(model):
        own = journal(path)  # as another process would
        for _ in range(10):
            with contextlib.suppress(Enough):
                numbers.append(own.reserve_call(model, at_most(25)))
        own.close()

    journal(path).close()
    threads = [threading.Thread(target=spend, args=(f"m{i % 2}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(numbers) == len(set(numbers)) == 25
    assert journal(path).spent() == Usage(calls=25)  # calls without an end count


def used(tokens, dollars=0.0, priced=0):
    return Usage(calls=1, prompt_tokens=tokens, dollars=dollars, priced=priced)


def test_settled_calls_add_up():
    own = journal(None)
    for tokens, dollars in ((10, 0.5), (30, 0.25)):
        own.settle_call(own.reserve_call("a"), used(tokens, dollars, 1))
    own.settle_call(own.reserve_call("b"), used(7))
    own.reserve_call("b")
    seen = []
    own.reserve_call("c", seen.extend)
    assert seen == [Spent("a", 2, 0, 40, 30, 0.75, 0.5), Spent("b", 2, 1, 7, 7, 0.0, 0.0)]
    assert own.spent() == Usage(calls=5, prompt_tokens=47, dollars=0.75, priced=2)


def test_nothing_is_written_where_the_check_raises():
    own = journal(None)
    with pytest.raises(Enough):
        own.reserve_call("m", at_most(0))
    assert own.spent() == Usage()
    own.reserve_call("m", at_most(1))


def test_calls_without_a_price_are_found_again(tmp_path):
    own = journal(tmp_path / "runs.sqlite")
    own.settle_call(own.reserve_call("known"), used(1, 0.5, 1))
    own.settle_call(own.reserve_call("cached"), Usage(1, cached=1))
    number = own.reserve_call("unknown")
    own.settle_call(number, used(2))
    own.reserve_call("open")
    own.close()
    assert journal(tmp_path / "runs.sqlite").unpriced_calls() == [(number, "unknown", used(2))]


def test_time_adds_up_over_sessions(tmp_path):
    path = tmp_path / "runs.sqlite"
    first = journal(path)
    time.sleep(0.05)
    first.keep_evaluation("a", {})  # the last that a killed session writes
    second = journal(path)
    assert 0.05 <= second.seconds < 0.06 + first.seconds
    time.sleep(0.05)
    second.close()
    assert journal(path).seconds >= 0.1
    assert journal(path, "another").seconds < 0.05


def test_a_journal_of_version_1_is_read_on(tmp_path):
    path = tmp_path / "runs.sqlite"
    usage = '{"calls": 1, "cached": 0, "prompt_tokens": 7, "completion_tokens": 2, "seconds": 0.5}'
    with contextlib.closing(sqlite3.connect(path)) as old:
        old.executescript("""
            CREATE TABLE runs(id INTEGER PRIMARY KEY, key TEXT NOT NULL, about TEXT NOT NULL,
                started REAL NOT NULL);
            CREATE TABLE calls(id INTEGER PRIMARY KEY, run INTEGER NOT NULL, started REAL NOT NULL,
                usage TEXT);
            CREATE INDEX calls_of_run ON calls(run);
            INSERT INTO runs VALUES (1, 'run', '{}', 0.0);
            INSERT INTO calls VALUES (1, 1, 0.0, NULL), (2, 1, 0.0, NULL);
            PRAGMA user_version = 1;
        """)
        old.execute("UPDATE calls SET usage = ? WHERE id = 2", (usage,))
        old.commit()
    own, seen = journal(path), []
    assert own.run == 1
    own.reserve_call("m", seen.extend)
    assert seen == [Spent("", 2, 1, 9, 9, 0.0, 0.0)]
    assert own.spent() == Usage(3, 0, 7, 2, 0.5)
    assert own.unpriced_calls() == [(2, "", Usage(1, 0, 7, 2, 0.5))]


def test_a_file_that_is_no_journal_is_named_with_the_remedy(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("these are not rows" * 100)
    with pytest.raises(JournalError, match=r"notes\.txt.*Engine\(journal="):
        journal(path)


def test_a_newer_journal_is_refused(tmp_path):
    path = tmp_path / "runs.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(JournalError, match=r"newer trace_bridge \(version 99\)"):
        journal(path)
