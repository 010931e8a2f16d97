"""The budget, and the ledger that no model call gets past."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from trace_bridge.llm.base import BudgetExhaustedError, ModelCall, Usage
from trace_bridge.training.journal import Journal


@dataclass(frozen=True, slots=True)
class Budget:
    """What one run may spend, in all its sessions together.

    Attributes:
        evaluations: runs of the agent on one example, the held-out comparison included.
        calls: model calls of agent, metric and optimizer together; None for no limit.
    """

    evaluations: int = 200
    calls: int | None = None

    def __post_init__(self) -> None:
        for name in ("evaluations", "calls"):
            value = getattr(self, name)
            if value is not None and value < 1:
                msg = f"Budget({name}={value}): must be at least 1"
                raise ValueError(msg)


class Ledger:
    """Counts what a run spends and refuses what the budget does not allow.

    Evaluations are counted by their journal key, whether they are run or looked up, so that a
    resumed run stops at the same point; model calls are counted in the journal before they are
    made, so that a killed session's calls count too.
    """

    def __init__(self, budget: Budget, journal: Journal) -> None:
        self.budget = budget
        self.journal = journal
        self.reserved_calls = 0  # kept for the held-out comparison
        self.refused = False
        self._evaluated: set[str] = set()
        self._lock = threading.Lock()
        self.session = Usage()

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

    def reserve(self) -> int:
        """Reserve one model call in the journal.

        Raises:
            BudgetExhaustedError: the call must not be made.
        """
        limit = self.budget.calls
        allowed = None if limit is None else limit - self.reserved_calls
        number = self.journal.reserve_call(allowed)
        if number is None:
            self.refused = True
            msg = f"the budget of {limit} model calls is spent"
            raise BudgetExhaustedError(msg)
        return number

    def settle(self, number: int, usage: Usage) -> None:
        """Write down what a reserved call has cost."""
        self.journal.settle_call(number, usage)
        with self._lock:
            self.session += usage


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
            return self.ledger.reserve()
        except BudgetExhaustedError as error:
            self.refused = error
            raise

    def settle(self, call: ModelCall, admitted: object) -> None:
        """See ``Gate``. A provider's failure is remembered: the agent may swallow it."""
        assert isinstance(admitted, int)  # noqa: S101 (what admit gave)
        self.ledger.settle(admitted, call.usage)
        with self._lock:
            self.usage += call.usage
            if call.error is not None and not call.refused:
                self.failure = call.error
