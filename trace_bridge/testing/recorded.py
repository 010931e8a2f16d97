"""A model whose replies were recorded: the same calls get them again, without network or key."""

from __future__ import annotations

import difflib
import json
import os
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from trace_bridge.graph import JSON, canonical, jsonable
from trace_bridge.llm.base import LLM, Message, Reply, Usage

RECORD_VARIABLE = "TRACE_BRIDGE_RECORD"

# What of a model's options decides what it answers. Nothing else is written: keys are options too.
_OPTIONS = frozenset(
    (
        "frequency_penalty", "logit_bias", "max_completion_tokens", "max_tokens", "n",
        "presence_penalty", "reasoning_effort", "response_format", "seed", "stop", "temperature",
        "thinking", "tool_choice", "tools", "top_k", "top_p",
    )
)  # fmt: skip
_DIFFERENT = 20  # lines of the difference from the nearest call, in the message


class UnseenCall(BaseException):
    """A call that was not recorded. No agent or optimizer may take it for a provider's failure."""


class RecordingError(ValueError):
    """A file of recorded calls cannot be read; the message names the line."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A call: what its reply is recorded by."""

    model: str
    options: Mapping[str, JSON]
    messages: Sequence[Mapping[str, JSON]]

    @property
    def key(self) -> str:
        return canonical(self)

    @property
    def lines(self) -> list[str]:
        """As text, for people and for comparing."""
        said = [f"{turn['role']}: {turn['content']}" for turn in self.messages]
        settings = [f"model: {self.model}", f"options: {canonical(self.options)}"]
        return [line for text in (*settings, *said) for line in text.splitlines()]


class RecordedLLM:
    """Gives the replies that ``llm`` gave when they were recorded, and never asks it otherwise.

    A call is its messages, the model's name and those of its options that decide what it answers.
    One that was made several times gets its replies in the order in which they were recorded. With
    ``record`` a call that is not in the file is made, and its reply is added; to record all anew,
    delete the file first. Threads and tasks may share one; the file has one JSON object per line.

    Args:
        llm: the model. Only its name and options matter while it is not asked.
        path: the file; there is none needed to record.
        record: whether unknown calls are made; by default, whether the environment variable
            TRACE_BRIDGE_RECORD is set to 1.

    Raises:
        FileNotFoundError: there is nothing to replay.
        RecordingError: a line of the file is damaged. The last one may be, without its end: whoever
            wrote it was killed; it counts for nothing.
    """

    def __init__(self, llm: LLM, path: str | Path, *, record: bool | None = None) -> None:
        self.llm = llm
        self.path = Path(path)
        self.record = os.environ.get(RECORD_VARIABLE) == "1" if record is None else record
        self._options = _deciding(getattr(llm, "options", {}))
        self._lock = threading.Lock()
        self._turns: Counter[str] = Counter()  # how often each call was asked for
        self._known: dict[str, _Asked] = {}
        self._replies: dict[str, list[Reply]] = {}
        for number, line in enumerate(self._lines(), 1):
            self._remember(*_read(line, f"{self.path}, line {number}"))

    @property
    def model(self) -> str:
        """The model's name."""
        return self.llm.model

    async def complete(self, messages: Sequence[Message]) -> Reply:
        """Answer as recorded, with the usage of then.

        Raises:
            UnseenCall: the call was not recorded, or not as often; and ``record`` is off.
        """
        turns = cast("list[Mapping[str, JSON]]", jsonable(list(messages)))
        asked = _Asked(self.model, self._options, turns)
        key = asked.key
        with self._lock:
            turn, replies = self._turns[key], self._replies.get(key, ())
            self._turns[key] += 1
            if turn < len(replies):
                return replies[turn]
            if not self.record:
                raise UnseenCall(self._unseen(asked, len(replies)))
        reply = await self.llm.complete(messages)
        with self._lock:
            self._append(asked, reply)
            self._remember(asked, reply)
        return reply

    def _remember(self, asked: _Asked, reply: Reply) -> None:
        self._known[asked.key] = asked
        self._replies.setdefault(asked.key, []).append(reply)

    def _lines(self) -> Iterable[bytes]:
        """The whole lines of the file; when recording, what is left of another is cut off."""
        if not self.path.exists():
            if not self.record:
                msg = f"{self.path} does not exist, so there is nothing to replay. {self._how()}"
                raise FileNotFoundError(msg)
            return ()
        text = self.path.read_bytes()
        whole = text.rpartition(b"\n")[0]
        end = len(whole) + 1 if b"\n" in text else 0
        if self.record and end < len(text):
            os.truncate(self.path, end)
        return whole.split(b"\n") if whole else ()

    def _append(self, asked: _Asked, reply: Reply) -> None:
        line = json.dumps({**asdict(asked), "reply": asdict(reply)}, ensure_ascii=False) + "\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab", buffering=0) as file:  # one write, so that processes do not mix
            file.write(line.encode(errors="surrogatepass"))

    def _unseen(self, asked: _Asked, recorded: int) -> str:
        if recorded:
            times = "once" if recorded == 1 else f"{recorded} times"
            found = f"This call was recorded {times}, and is made once more."
        elif not self._known:
            found = "There is no call in it."
        else:
            nearest = max(self._known.values(), key=lambda known: _alike(known, asked))
            lines = difflib.unified_diff(
                nearest.lines, asked.lines, "nearest recorded call", "this call", lineterm="", n=1
            )
            shown = list(lines)
            left = len(shown) - _DIFFERENT
            more = [f"... and {left} lines more"] if left > 0 else []
            found = "\n".join(("How it differs:", *shown[:_DIFFERENT], *more))
        return f"{self.path} has no reply for a call of {self.model!r}. {self._how()}\n{found}"

    def _how(self) -> str:
        return (
            f"Record it once: set {RECORD_VARIABLE}=1 or pass record=True, which asks the model"
            " for what is not in the file; delete the file to record everything anew."
        )


def _deciding(options: object) -> Mapping[str, JSON]:
    if not isinstance(options, Mapping):
        return {}
    held = cast("Mapping[str, object]", options)
    return {name: jsonable(held[name]) for name in sorted(_OPTIONS & held.keys())}


def _read(line: bytes, place: str) -> tuple[_Asked, Reply]:
    try:
        row: dict[str, Any] = json.loads(line.decode(errors="surrogatepass"))
        usage = Usage(**row["reply"].pop("usage"))
        reply = Reply(**row.pop("reply"), usage=usage)
        return _Asked(**row), reply
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        msg = f"{place} is no recorded call ({error}): restore the file, or delete it and record"
        raise RecordingError(msg) from error


def _alike(known: _Asked, asked: _Asked) -> float:
    """How many lines two calls have in common, as a share."""
    ours, theirs = Counter(asked.lines), Counter(known.lines)
    return 2 * (ours & theirs).total() / (ours.total() + theirs.total())
