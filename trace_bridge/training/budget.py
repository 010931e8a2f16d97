"""The budget, and the ledger that no model call gets past."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from trace_bridge.llm.base import BudgetExhaustedError, ModelCall, Usage
from trace_bridge.llm.prices import Prices, is_priced, priced
from trace_bridge.training.journal import Journal, Spent


@dataclass(frozen=True, slots=True)
class Budget:
    """What one run may spend, in all its sessions together.

    Evaluations and calls are counted before they are made: they are never exceeded. What a call
    takes is only known when it has ended. So it is let in if what was spent, with what the calls
    in flight and it itself may take, is within the budget; a call may take what the dearest of its
    model took so far, and the first evaluation runs alone, to have a measure. Tokens and dollars
    are exceeded only by calls that are dearer than all before, and only by that difference; then
    nothing more is let in.

    Attributes:
        evaluations: runs of the agent on one example, the held-out comparison included.
        calls: model calls of agent, metric and optimizer together; None for no limit.
        tokens: of prompts and completions; those that a response cache answered are not counted.
        dollars: what the calls cost, as the client tells it, or else by ``prices`` or LiteLLM's
            price list. A model with an unknown price is not called: the list's 0 is unknown too.
        seconds: wall time of all sessions; nothing is begun after it, and nothing is broken off.
        prices: by a model's name, the dollars for a million tokens of prompt and of completion;
            ``(0, 0)`` for a model of your own.

    Raises:
        ValueError: a limit that allows nothing, or a price that is none.
    """

    evaluations: int = 200
    calls: int | None = None
    tokens: int | None = None
    dollars: float | None = None
    seconds: float | None = None
    prices: Prices = field(default_factory=dict[str, tuple[float, float]], hash=False)

    def __post_init__(self) -> None:
        for name in ("evaluations", "calls", "tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                msg = f"Budget({name}={value}): must be at least 1"
                raise ValueError(msg)
        for name in ("dollars", "seconds"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                msg = f"Budget({name}={value}): must be more than 0"
                raise ValueError(msg)
        for model, price in self.prices.items():
            if len(price) != 2 or not all(0 <= dollars < math.inf for dollars in price):
                msg = (
                    f"Budget(prices={{{model!r}: {price!r}}}): give two numbers from 0 on, dollars"
                    " for a million tokens of prompt and of completion"
                )
                raise ValueError(msg)

    @property
    def measured(self) -> bool:
        """Whether something is limited that only the end of a call tells."""
        return self.tokens is not None or self.dollars is not None

    def problem(self, model: str, usage: Usage | None = None) -> str:
        """Why it cannot be kept when ``model`` is called; empty if it can.

        Args:
            model: the name by which its calls are announced.
            usage: what an answered call of it told; None before there is one.
        """
        if usage is None:
            unknown = self.dollars is not None and not is_priced(model, self.prices)
        else:
            unknown = self.dollars is not None and usage.unpriced > 0
            untold = usage.tokens == 0 and usage.calls > usage.cached
            if untold and (unknown or self.tokens is not None):
                return (
                    f"the model {model!r} does not tell how many tokens it uses, so a budget of"
                    " tokens or dollars cannot be kept: limit calls= instead"
                )
        if not unknown:
            return ""
        return (
            f"nobody knows what the model {model!r} costs, so Budget(dollars={self.dollars}) cannot"
            f" be kept: pass prices={{{model!r}: (prompt, completion)}}, in dollars for a million"
            " tokens, or limit tokens= or calls= instead"
        )


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept for the held-out comparison. Adds up with ``+``."""

    calls: int = 0
    tokens: int = 0
    dollars: float = 0.0
    seconds: float = 0.0

    @classmethod
    def of(cls, took: Sequence[tuple[Usage, float]], count: int, concurrency: int) -> Kept:
        """As much as ``count`` evaluations take, if each is like the dearest of these.

        Args:
            took: what evaluations have used, and their seconds.
            count: how many are to come.
            concurrency: how many of them run at once.
        """
        return cls(
            count * max(usage.calls for usage, _ in took),
            count * max(usage.tokens for usage, _ in took),
            count * max(usage.dollars for usage, _ in took),
            math.ceil(count / concurrency) * max(seconds for _, seconds in took),
        )

    def __add__(self, other: Kept) -> Kept:
        return Kept(
            self.calls + other.calls, self.tokens + other.tokens,
            self.dollars + other.dollars, self.seconds + other.seconds,
        )  # fmt: skip


class Ledger:
    """Counts what a run spends and refuses what the budget does not allow.

    Evaluations are counted by their journal key, whether they are run or looked up, so that a
    resumed run stops at the same point; model calls are written into the journal before they are
    made, so that a killed session's calls count too (as if each took what the dearest did).

    Attributes:
        kept: for the held-out comparison; nothing else may touch it.
        session: what this session has spent.
    """

    def __init__(self, budget: Budget, journal: Journal) -> None:
        self.budget = budget
        self.journal = journal
        self.kept = Kept()
        self.session = Usage()
        self._problem = ""  # why the budget cannot be kept any more
        self._known: set[str] = set()  # models that can be called
        self._evaluated: set[str] = set()
        self._lock = threading.Lock()
        if budget.dollars is not None:
            self._price_earlier()

    def count(self, key: str) -> bool:
        """Count an evaluation, once however often it is asked for; whether this was the first."""
        first = key not in self._evaluated
        self._evaluated.add(key)
        return first

    def uncounted(self, keys: set[str]) -> int:
        """How many of these evaluations would be counted anew."""
        return len(keys - self._evaluated)

    @property
    def evaluations(self) -> int:
        """Evaluations counted so far."""
        return len(self._evaluated)

    @property
    def remaining(self) -> int:
        """Evaluations that the budget still allows."""
        return self.budget.evaluations - self.evaluations

    def check_time(self) -> None:
        """Let something begin.

        Raises:
            BudgetExhaustedError: there is no time left for it.
        """
        limit = self.budget.seconds
        if limit is not None and self.journal.seconds > limit - self.kept.seconds:
            raise BudgetExhaustedError(_spent(limit, "seconds", self.kept.seconds))

    def reserve(self, model: str, calls: int = 1) -> int:
        """Reserve a call of ``model`` in the journal, or several that are made together.

        Raises:
            BudgetExhaustedError: the call must not be made.
        """
        self.check_time()
        if model not in self._known:
            self._problem = self._problem or self.budget.problem(model)
        if self._problem:
            raise BudgetExhaustedError(self._problem)
        self._known.add(model)
        limited = self.budget.measured or self.budget.calls is not None
        return self.journal.reserve_call(
            model, (lambda spent: self._check(model, calls, spent)) if limited else None, calls
        )

    def _check(self, model: str, calls: int, spent: Sequence[Spent]) -> None:
        """Let calls of ``model`` happen after what was spent, or raise."""
        budget, kept = self.budget, self.kept
        calls += sum(of_model.calls for of_model in spent)
        if budget.calls is not None and calls > budget.calls - kept.calls:
            raise BudgetExhaustedError(_spent(budget.calls, "model calls", kept.calls))
        for name, limit, keep in (
            ("tokens", budget.tokens, kept.tokens),
            ("dollars", budget.dollars, kept.dollars),
        ):
            if limit is None:
                continue
            used = sum(getattr(of_model, name) for of_model in spent)
            flying = sum(m.open * _dearest(m.model, name, spent) for m in spent)
            coming = _dearest(model, name, spent)
            if used + flying + coming > limit - keep:
                raise BudgetExhaustedError(_spent(limit, name, keep, used, flying + coming))

    def settle(self, number: int, call: ModelCall) -> Usage:
        """Write down what a reserved call has cost; gives it back with its price.

        One that was broken off stays open: it counts as the dearest of its model.
        """
        usage = call.usage
        if self.budget.dollars is not None:
            usage = priced(call.model, usage, self.budget.prices)
        if not call.broken_off:
            self.journal.settle_call(number, usage)
        with self._lock:
            self.session += usage
        if call.error is None and not call.broken_off:
            self._problem = self._problem or self.budget.problem(call.model, usage)
        return usage

    def _price_earlier(self) -> None:
        """Find the price of what earlier sessions called without a limit in dollars."""
        for number, model, usage in self.journal.unpriced_calls():
            found = priced(model, usage, self.budget.prices)
            if not found.unpriced:
                self.journal.price_call(number, found)
            self._problem = self._problem or self.budget.problem(model, found)


class Meter:
    """The gate of one evaluation (or of one proposal): what it spent, and what went wrong."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.usage = Usage()
        self.refused: BudgetExhaustedError | None = None
        self.failure: Exception | None = None
        self._lock = threading.Lock()

    def admit(self, call: ModelCall) -> object:
        """See ``Gate``. A refusal is remembered: the agent may swallow the exception."""
        try:
            return self.ledger.reserve(call.model, call.usage.calls)
        except BudgetExhaustedError as error:
            self.refused = error
            raise

    def settle(self, call: ModelCall, admitted: object) -> None:
        """See ``Gate``. A provider's failure is remembered: the agent may swallow it."""
        assert isinstance(admitted, int)  # noqa: S101 (what admit gave)
        usage = self.ledger.settle(admitted, call)
        with self._lock:
            self.usage += usage
            if call.error is not None and not call.refused:
                self.failure = call.error


def _dearest(model: str, name: str, spent: Sequence[Spent]) -> float:
    """What the dearest call of a model took; of all models, before one of it has ended."""
    most = {of_model.model: getattr(of_model, f"most_{name}") for of_model in spent}
    return most.get(model) or max(most.values(), default=0)


def _spent(limit: float, name: str, kept: float, used: float = 0, coming: float = 0) -> str:
    """That a budget is spent, and how."""
    parts = [
        f"{_amount(used)} are used and those to come may take {_amount(coming)}" if coming else "",
        f"{_amount(kept)} are kept for the held-out comparison" if kept else "",
    ]
    said = "; ".join(part for part in parts if part)
    return f"the budget of {_amount(limit)} {name} is spent" + (f" ({said})" if said else "")


def _amount(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:.4g}"
