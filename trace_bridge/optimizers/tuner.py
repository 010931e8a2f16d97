"""Optuna's samplers for numbers, switches and choices (Akiba et al. 2019; Optuna 4 and 5)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar, cast

from trace_bridge.graph import Operator, Parameter, Subgraph, canonical
from trace_bridge.graph.code import code_digest
from trace_bridge.optimizers.base import (
    Optimizer,
    Proposal,
    StepPlan,
    Trial,
    judge_change,
)

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.study import Study

Space = Mapping[str, tuple[float, float] | list[object]]
_ATTEMPTS = 4  # draws for each proposal; small spaces repeat themselves


class Optuna(Optimizer):
    """Proposes numbers, switches and choices with one of Optuna's samplers; needs no model.

    It searches numbers that have bounds (whole numbers where value and bounds are), booleans, and
    every parameter with ``choices`` for its values, such as the name of a model. It leaves other
    parameters alone. Each proposal asks a new study into which the scored trials of ``history`` are
    told, so nothing has to be kept between steps; therefore samplers that learn from values and
    scores (TPE, GP) do, and those that leave notes on trials (CMA-ES) begin again at every step.

    Args:
        parameters: see ``Optimizer``.
        space: by path, where to search instead of the parameter's own bounds or choices:
            ``(least, greatest)`` for a number, or a list of values.
        sampler: a name in ``optuna.samplers``, or a function that makes a sampler of a seed.
        proposals: how many candidates a step proposes.
        seed: see ``Optimizer``.

    Raises:
        ModuleNotFoundError: Optuna is not installed.
    """

    name: ClassVar[str] = "optuna"

    def __init__(
        self, parameters: Iterable[Parameter | Operator[..., object]] = (), *,
        space: Space | None = None, sampler: str | Callable[[int], BaseSampler] = "TPESampler",
        proposals: int = 8, seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(parameters, seed=seed)
        if find_spec("optuna") is None:
            msg = (
                "the optuna optimizer needs the package optuna: pip install 'trace-bridge[optuna]'"
            )
            raise ModuleNotFoundError(msg, name="optuna")
        self.space = dict(space or {})
        self.sampler = sampler
        self.proposals = proposals

    def plan(self, history: Sequence[Trial]) -> StepPlan:
        """Some proposals, straight to the validation rows: samplers do not read feedback."""
        return StepPlan(self.name, minibatch=1, proposals=self.proposals, gated=False)

    def settings(self) -> Mapping[str, object]:
        """See ``Optimizer``."""
        named = isinstance(self.sampler, str)
        sampler = self.sampler if named else code_digest(self.sampler)
        return {
            **super().settings(), "space": self.space, "sampler": sampler,
            "proposals": self.proposals,
        }  # fmt: skip

    async def propose(
        self, subgraphs: Sequence[Subgraph], parameters: Sequence[Parameter],
        history: Sequence[Trial], n: int = 1,
    ) -> list[Proposal]:  # fmt: skip
        """Up to ``n`` points that were not tried; fewer, or none, in a small space.

        Raises:
            ValueError: a number without bounds, or nothing to search at all.
            LookupError: ``space`` names a parameter that there is not, or ``sampler`` is unknown.
        """
        axes = self._axes(parameters)
        names = [axis.parameter.name for axis in axes]
        tried = {canonical({name: trial.state.get(name) for name in names}) for trial in history}
        tried.add(canonical({axis.parameter.name: axis.parameter.peek() for axis in axes}))
        found: list[Proposal] = []
        refused: list[Proposal] = []
        with _quiet():
            study, scored = self._study(axes, history)
            for _ in range(_ATTEMPTS * n):
                if len(found) == n:
                    break
                drawn = study.ask({axis.parameter.name: axis.distribution for axis in axes}).params
                values = {axis.parameter: axis.value(drawn[axis.parameter.name]) for axis in axes}
                state = canonical({parameter.name: value for parameter, value in values.items()})
                if state in tried:
                    continue
                tried.add(state)
                proposal = self._proposal(values, scored)
                refusals = [change for change in proposal.changes if not change.accepted]
                (refused if refusals else found).append(proposal)
        return found or refused[:1]  # so that the run can tell why there is nothing to try

    def _axes(self, parameters: Sequence[Parameter]) -> list[_Axis]:
        unknown = self.space.keys() - {parameter.name for parameter in parameters}
        if unknown:
            known = ", ".join(parameter.name for parameter in parameters)
            msg = f"space names {', '.join(sorted(unknown))}, but what is tuned is {known}"
            raise LookupError(msg)
        found = [_axis(parameter, self.space.get(parameter.name)) for parameter in parameters]
        axes = [axis for axis in found if axis is not None]
        if not axes:
            names = ", ".join(parameter.name for parameter in parameters)
            msg = (
                f"Optuna finds nothing to search in {names}: give them choices, or pass"
                " Optuna(space={path: [values]})"
            )
            raise ValueError(msg)
        return axes

    def _study(self, axes: Sequence[_Axis], history: Sequence[Trial]) -> tuple[Study, int]:
        """A new study that knows the scored trials, and how many these are."""
        import optuna

        study = optuna.create_study(sampler=self._sampler(history), direction="maximize")
        distributions = {axis.parameter.name: axis.distribution for axis in axes}
        for trial in history:
            places = {axis.parameter.name: axis.place(trial.state) for axis in axes}
            if trial.score is not None and None not in places.values():
                study.add_trial(
                    optuna.trial.create_trial(
                        params=places, distributions=distributions, value=trial.score
                    )
                )
        return study, len(study.get_trials(deepcopy=False))

    def _sampler(self, history: Sequence[Trial]) -> BaseSampler:
        from optuna import samplers

        seed = self.random(history).randrange(2**32)
        if not isinstance(self.sampler, str):
            return self.sampler(seed)
        if self.sampler not in samplers.__all__:
            known = ", ".join(name for name in samplers.__all__ if name.endswith("Sampler"))
            msg = f"unknown sampler {self.sampler!r}; optuna.samplers has {known}"
            raise LookupError(msg)
        return cast("Callable[..., BaseSampler]", getattr(samplers, self.sampler))(seed=seed)

    def _proposal(self, values: Mapping[Parameter, object], scored: int) -> Proposal:
        changes = tuple(
            judge_change(parameter, value)
            for parameter, value in values.items()
            if canonical(value) != canonical(parameter.peek())
        )
        return Proposal(changes, f"drawn after {scored} scored trials", self.name)


def searchable(parameter: Parameter) -> bool:
    """Whether Optuna knows by itself where to search ``parameter``."""
    present = parameter.peek()
    if parameter.kind == "demos":
        return False
    return isinstance(present, bool) or bool(parameter.choices) or parameter.bounds is not None


@dataclass(frozen=True, slots=True)
class _Axis:
    """A parameter as a dimension of the search; categories are numbered, so any value can be one.

    Attributes:
        number: int or float; with ``bounds``.
        values: the categories; None for a number.
    """

    parameter: Parameter
    distribution: BaseDistribution
    number: type[float] = float
    bounds: tuple[float, float] = (0, 0)
    values: Sequence[object] | None = None

    def value(self, place: float) -> object:
        """The parameter's value at a place of the distribution."""
        return place if self.values is None else self.values[int(place)]

    def place(self, state: Mapping[str, object]) -> object:
        """Where a candidate lies, or None if that is outside."""
        if self.parameter.name not in state:
            return None
        value = state[self.parameter.name]
        if self.values is not None:
            known = [canonical(item) for item in self.values]
            return known.index(canonical(value)) if canonical(value) in known else None
        low, high = self.bounds
        return value if isinstance(value, (int, self.number)) and low <= value <= high else None


def _axis(parameter: Parameter, given: tuple[float, float] | list[object] | None) -> _Axis | None:
    """How to search ``parameter``, or None if it is none of the searchable.

    Raises:
        ValueError: a number without bounds.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    present = parameter.peek()
    offered = given if isinstance(given, list) else () if given else parameter.choices
    # the choices of demos are parts of values, which the parameter refuses
    values = [value for value in offered if parameter.refusal(value) is None]
    if isinstance(present, bool) and not offered:
        values = [False, True]
    if values:
        return _Axis(parameter, CategoricalDistribution(range(len(values))), values=values)
    if parameter.kind != "number":
        return None
    bounds = given if isinstance(given, tuple) else parameter.bounds
    if bounds is None:
        msg = (
            f"{parameter.name} has no bounds, so Optuna does not know where to search: pass"
            f" Optuna(space={{{parameter.name!r}: (least, greatest)}}), or make the Parameter with"
            " bounds="
        )
        raise ValueError(msg)
    low, high = bounds
    if isinstance(present, int) and isinstance(low, int) and isinstance(high, int):
        return _Axis(parameter, IntDistribution(low, high), int, bounds)
    return _Axis(parameter, FloatDistribution(low, high), float, bounds)


@contextmanager
def _quiet() -> Generator[None]:
    """Without Optuna's reports about its studies; its level of logging is put back."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(before, optuna.logging.WARNING))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
