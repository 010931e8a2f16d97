"""The journal: every evaluation, proposal and model call of a run, in SQLite, as JSON.

Resuming is re-execution: the same code runs again and looks up what was finished.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from trace_bridge.llm.base import Usage

_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs(
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, about TEXT NOT NULL, started REAL NOT NULL);
CREATE TABLE IF NOT EXISTS evaluations(
    run INTEGER NOT NULL, key TEXT NOT NULL, row TEXT NOT NULL, PRIMARY KEY(run, key));
CREATE TABLE IF NOT EXISTS proposals(
    run INTEGER NOT NULL, key TEXT NOT NULL, row TEXT NOT NULL, PRIMARY KEY(run, key));
CREATE TABLE IF NOT EXISTS calls(
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, started REAL NOT NULL, usage TEXT);
CREATE INDEX IF NOT EXISTS calls_of_run ON calls(run);
CREATE TABLE IF NOT EXISTS trials(
    run INTEGER NOT NULL, number INTEGER NOT NULL, row TEXT NOT NULL, PRIMARY KEY(run, number));
"""
_VERSION = 1


class JournalError(RuntimeError):
    """The journal cannot be used; the message names the file and the remedy."""


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
            connection.executescript(_SCHEMA)
            connection.execute(f"PRAGMA user_version = {_VERSION}")
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
            self.run, number, json.dumps(row, ensure_ascii=False),
        )  # fmt: skip

    def _row(self, table: str, key: str) -> dict[str, Any] | None:
        statement = f"SELECT row FROM {table} WHERE run = ? AND key = ?"  # noqa: S608 (our own names)
        found = self._execute(statement, self.run, key)
        return json.loads(found[0][0]) if found else None

    def _keep(self, table: str, key: str, row: Mapping[str, Any]) -> None:
        statement = f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)"  # noqa: S608 (our own names)
        self._execute(statement, self.run, key, json.dumps(row, ensure_ascii=False))

    def reserve_call(self, limit: int | None) -> int | None:
        """Write down a model call before it is made, unless the run has made ``limit`` already.

        One statement decides and writes, so that two processes on one journal cannot overspend.
        """
        found = self._execute(
            "INSERT INTO calls(run, started) SELECT ?1, ?2 WHERE ?3 IS NULL"
            " OR (SELECT count(*) FROM calls WHERE run = ?1) < ?3 RETURNING id",
            self.run, time.time(), limit,
        )  # fmt: skip
        return found[0][0] if found else None

    def settle_call(self, number: int, usage: Usage) -> None:
        """Write down what a reserved call has cost."""
        self._execute("UPDATE calls SET usage = ? WHERE id = ?", json.dumps(asdict(usage)), number)

    def spent(self) -> Usage:
        """What the run has spent in all its sessions; calls without an end count as calls."""
        rows = self._execute("SELECT usage FROM calls WHERE run = ?", self.run)
        return sum((Usage(**json.loads(u)) if u else Usage(calls=1) for (u,) in rows), Usage())

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()
