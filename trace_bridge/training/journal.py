"""The journal: every evaluation, proposal and model call of a run, in SQLite, as JSON.

Resuming is re-execution: the same code runs again and looks up what was finished.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trace_bridge.graph import jsonable
from trace_bridge.llm.base import Usage

_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs(
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, about TEXT NOT NULL, started REAL NOT NULL);
CREATE TABLE IF NOT EXISTS evaluations(
    run INTEGER NOT NULL, key TEXT NOT NULL, row TEXT NOT NULL, PRIMARY KEY(run, key));
CREATE TABLE IF NOT EXISTS proposals(
    run INTEGER NOT NULL, key TEXT NOT NULL, row TEXT NOT NULL, PRIMARY KEY(run, key));
CREATE TABLE IF NOT EXISTS calls(
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, started REAL NOT NULL, usage TEXT,
    model TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS calls_of_run ON calls(run);
CREATE TABLE IF NOT EXISTS spent(
    run INTEGER NOT NULL, model TEXT NOT NULL, calls INTEGER NOT NULL, open INTEGER NOT NULL,
    tokens INTEGER NOT NULL DEFAULT 0, most_tokens INTEGER NOT NULL DEFAULT 0,
    dollars REAL NOT NULL DEFAULT 0, most_dollars REAL NOT NULL DEFAULT 0,
    PRIMARY KEY(run, model));
CREATE TABLE IF NOT EXISTS sessions(
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, started REAL NOT NULL, seconds REAL NOT NULL);
CREATE TABLE IF NOT EXISTS trials(
    run INTEGER NOT NULL, number INTEGER NOT NULL, row TEXT NOT NULL, PRIMARY KEY(run, number));
"""
_VERSION = 2
_FROM_1 = """
ALTER TABLE calls ADD COLUMN model TEXT NOT NULL DEFAULT '';
INSERT INTO spent(run, model, calls, open, tokens, most_tokens)
    SELECT run, '', count(*), count(*) - count(usage), coalesce(sum(tokens), 0),
        coalesce(max(tokens), 0)
    FROM (SELECT run, usage, json_extract(usage, '$.prompt_tokens')
        + json_extract(usage, '$.completion_tokens') AS tokens FROM calls) GROUP BY run;
"""


class JournalError(RuntimeError):
    """The journal cannot be used; the message names the file and the remedy."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What a run has spent on one model.

    Attributes:
        calls: made; ``open`` is how many have not ended, those made together taken as one.
        tokens, dollars: of those that have ended, as far as known.
        most_tokens, most_dollars: of the dearest of these.
    """

    model: str
    calls: int
    open: int
    tokens: int
    most_tokens: int
    dollars: float
    most_dollars: float


class Journal:
    """One run's rows in a journal file.

    Args:
        path: the file; None keeps the journal in memory, for this process only.
        key: what determines the run; the latest run with an equal key is resumed.
        about: for people who read the file.
        resume: False starts a new run even if there is one to resume; nothing is deleted.

    Raises:
        JournalError: the file cannot be opened, is no journal, or is of a newer version.
    """

    def __init__(
        self, path: str | Path | None, key: str, about: Mapping[str, Any], *, resume: bool
    ) -> None:
        self.path = None if path is None else Path(path)
        self._lock = threading.Lock()
        self._connection = self._open()
        found = (
            self._execute("SELECT max(id) FROM runs WHERE key = ?", key)[0][0] if resume else None
        )
        if found is None:
            self._execute(
                "INSERT INTO runs(key, about, started) VALUES (?, ?, ?)",
                key, json.dumps(about, ensure_ascii=False), time.time(),
            )  # fmt: skip
            found = self._execute("SELECT last_insert_rowid()")[0][0]
        self.run = int(found)
        (self._before,) = self._execute(
            "SELECT coalesce(sum(seconds), 0.0) FROM sessions WHERE run = ?", self.run
        )[0]
        self._started = time.monotonic()
        self._execute(
            "INSERT INTO sessions(run, started, seconds) VALUES (?, ?, 0)", self.run, time.time()
        )
        self._session = self._execute("SELECT last_insert_rowid()")[0][0]

    def _open(self) -> sqlite3.Connection:
        try:
            if self.path is not None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            # one connection behind one lock: worker threads report their model calls
            connection = sqlite3.connect(
                self.path or ":memory:", check_same_thread=False, isolation_level=None, timeout=30
            )
            connection.execute(
                "PRAGMA journal_mode = WAL"
            )  # readers do not wait, a kill loses nothing
            connection.execute("PRAGMA synchronous = NORMAL")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > _VERSION:
                msg = (
                    f"{self.path} was written by a newer trace_bridge (version {version}): upgrade"
                )
                raise JournalError(msg)
            connection.executescript(
                f"BEGIN IMMEDIATE; {_SCHEMA} {_FROM_1 if version == 1 else ''}"
                f" PRAGMA user_version = {_VERSION}; COMMIT;"
            )
        except (sqlite3.Error, OSError) as error:
            msg = (
                f"the journal {self.path} cannot be used: {error}."
                " Pass another file as Engine(journal=...), or None to keep none."
            )
            raise JournalError(msg) from error
        return connection

    def _execute(self, statement: str, *values: object) -> list[Any]:
        with self._lock:
            return self._connection.execute(statement, values).fetchall()

    def evaluation(self, key: str) -> dict[str, Any] | None:
        """The finished evaluation of that key, if there is one."""
        return self._row("evaluations", key)

    def keep_evaluation(self, key: str, row: Mapping[str, Any]) -> None:
        """Write a finished evaluation; it will never be repeated in this run."""
        self._keep("evaluations", key, row)

    def proposals(self, key: str) -> dict[str, Any] | None:
        """The proposals that were made at the point which ``key`` stands for."""
        return self._row("proposals", key)

    def keep_proposals(self, key: str, row: Mapping[str, Any]) -> None:
        """Write the proposals of one step."""
        self._keep("proposals", key, row)

    def keep_trial(self, number: int, row: Mapping[str, Any]) -> None:
        """Write a trial, for people and tools that read the file; resuming does not need it."""
        self._execute(
            "INSERT OR REPLACE INTO trials VALUES (?, ?, ?)",
            self.run, number, json.dumps(jsonable(row), ensure_ascii=False),
        )  # fmt: skip

    def _row(self, table: str, key: str) -> dict[str, Any] | None:
        statement = f"SELECT row FROM {table} WHERE run = ? AND key = ?"  # noqa: S608 (our own names)
        found = self._execute(statement, self.run, key)
        return json.loads(found[0][0]) if found else None

    def _keep(self, table: str, key: str, row: Mapping[str, Any]) -> None:
        statement = f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)"  # noqa: S608 (our own names)
        self._execute(statement, self.run, key, json.dumps(row, ensure_ascii=False))
        self._keep_time()

    @property
    def seconds(self) -> float:
        """Wall time of the run: of this session until now, and of earlier ones.

        Of a session that was killed, until it last wrote something down.
        """
        return self._before + time.monotonic() - self._started

    def _keep_time(self) -> None:
        seconds = time.monotonic() - self._started
        self._execute("UPDATE sessions SET seconds = ? WHERE id = ?", seconds, self._session)

    def reserve_call(
        self,
        model: str,
        check: Callable[[Sequence[Spent]], None] | None = None,
        calls: int = 1,
    ) -> int:
        """Write down a model call (or ``calls`` together) before it is made.

        Not if ``check`` raises, which sees what the run has spent, model by model. Seeing and
        writing are one transaction, so that two processes on one journal cannot overspend.
        """
        with self._transaction() as connection:
            if check is not None:
                found = connection.execute(
                    "SELECT model, calls, open, tokens, most_tokens, dollars, most_dollars"
                    " FROM spent WHERE run = ?",
                    (self.run,),
                )
                check([Spent(*row) for row in found])
            connection.execute(
                "INSERT INTO spent(run, model, calls, open) VALUES (?1, ?2, ?3, 1)"
                " ON CONFLICT DO UPDATE SET calls = calls + ?3, open = open + 1",
                (self.run, model, calls),
            )
            return connection.execute(
                "INSERT INTO calls(run, started, model) VALUES (?, ?, ?) RETURNING id",
                (self.run, time.time(), model),
            ).fetchone()[0]

    def settle_call(self, number: int, usage: Usage) -> None:
        """Write down what a reserved call has cost; once."""
        self._end_call(number, usage, ended=1, tokens=usage.tokens)
        self._keep_time()

    def price_call(self, number: int, usage: Usage) -> None:
        """Write down what a settled call has cost in dollars, which was not known."""
        self._end_call(number, usage, ended=0, tokens=0)

    def _end_call(self, number: int, usage: Usage, *, ended: int, tokens: int) -> None:
        dollars = usage.dollars
        with self._transaction() as connection:
            connection.execute(
                "UPDATE spent SET open = open - ?, tokens = tokens + ?, dollars = dollars + ?,"
                " most_tokens = max(most_tokens, ?), most_dollars = max(most_dollars, ?)"
                " WHERE run = ? AND model = (SELECT model FROM calls WHERE id = ?)",
                (ended, tokens, dollars, tokens, dollars, self.run, number),
            )
            connection.execute(
                "UPDATE calls SET usage = ? WHERE id = ?", (json.dumps(asdict(usage)), number)
            )

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        with self._lock, self._connection as connection:  # which commits, or rolls back
            connection.execute("BEGIN IMMEDIATE")
            yield connection

    def unpriced_calls(self) -> list[tuple[int, str, Usage]]:
        """The calls that have ended and whose price is not known: number, model and usage."""
        rows = self._execute(
            "SELECT id, model, usage FROM calls WHERE run = ? AND usage IS NOT NULL", self.run
        )
        found = [(number, model, Usage(**json.loads(usage))) for number, model, usage in rows]
        return [(number, model, usage) for number, model, usage in found if usage.unpriced]

    def spent(self) -> Usage:
        """What the run has spent in all its sessions; calls without an end count as calls."""
        rows = self._execute("SELECT usage FROM calls WHERE run = ?", self.run)
        return sum((Usage(**json.loads(u)) if u else Usage(calls=1) for (u,) in rows), Usage())

    def close(self) -> None:
        """Close the file."""
        self._keep_time()
        with self._lock:
            self._connection.close()
