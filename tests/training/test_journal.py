import sqlite3
import threading

import pytest

from trace_bridge.llm.base import Usage
from trace_bridge.training.journal import Journal, JournalError


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


def test_calls_are_counted_before_they_are_made_and_never_exceed_the_limit(tmp_path):
    path = tmp_path / "runs.sqlite"
    numbers = []

    def spend():
        own = journal(path)  # as another process would
        numbers.extend(n for _ in range(10) if (n := own.reserve_call(25)) is not None)
        own.close()

    journal(path).close()
    threads = [threading.Thread(target=spend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(numbers) == len(set(numbers)) == 25
    assert journal(path).spent() == Usage(calls=25)  # calls without an end count


def test_settled_calls_add_up(tmp_path):
    own = journal(None)
    for _ in range(2):
        number = own.reserve_call(None)
        assert number is not None
        own.settle_call(number, Usage(calls=1, prompt_tokens=10, completion_tokens=5))
    assert own.spent() == Usage(calls=2, prompt_tokens=20, completion_tokens=10)


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
