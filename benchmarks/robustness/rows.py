"""The rows: what each side is asked, and the lines that come of the answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.core.peers import OURS
from benchmarks.robustness.attempt import OLD
from benchmarks.robustness.letter import mean
from benchmarks.robustness.replies import (
    CORPUS,
    GARBAGE,
    MEANT,
    OUR_OPTIMIZERS,
    OUTCOMES,
    TOLD,
    arguments,
    outcome,
    spoken,
)

PEERS = ("trace-opt", "textgrad", "gepa")
SIDES = (OURS, *PEERS)
EXAMPLES = 3
LONG = 200_000  # characters of a value in the middle of a run
_REFUSAL = "I'm sorry, but I cannot help with that request."
_CUT_OFF = 100  # model calls after which a loop that does not end is cut off
_PROMPT = 60_000  # characters that a prompt of ours takes at most
_ENDED = 40  # model calls after which ours has to have given up
_ENDING = "def act(x, scale=1):\n    import os\n\n    os._exit(9)\n"
_BUDGET = 300  # evaluations, where scores are drawn
_BY_CHANCE = 0.1  # of the seeds in which ours may call better what is not; 0.05 is expected at most
_FOUND = 0.95  # of the seeds in which the first proposal of ours has to be right

_NOTES = {
    "cut off": "the models of textgrad and gepa give no finish reason; gepa's own LM warns of it",
    "learnt by heart": "the others are not told what the training data says",
    "placeholders": "the others can tell the model of them, and do not look",
}

Ask = Callable[..., Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Settings:
    """How much is drawn, and whether each reply is shown."""

    seeds: int = 200
    chances: int = 40
    each: bool = False
    writers: Sequence[int] = (4, 8)


@dataclass(frozen=True, slots=True)
class Line:
    """What the sides did in one probe.

    Attributes:
        what: the probe.
        cells: by side.
        must: what has to be true of ours, and nothing where nothing has to.
        wrong: why it is not, if it is not.
        note: what a reader has to know to compare.
    """

    what: str
    cells: Mapping[str, str] = field(default_factory=dict[str, str])
    must: str = ""
    wrong: str = ""
    note: str = ""

    @property
    def held(self) -> bool:
        """Whether what must be true of ours is."""
        return not self.wrong

    @property
    def verdict(self) -> str:
        """``ok``, ``MISSED``, or nothing where nothing must hold."""
        return "MISSED" if self.wrong else "ok" if self.must else ""


# ------------------------------------------------------------------ replies


def replies(ask: Ask, settings: Settings) -> Iterator[Line]:
    """The corpus by group, and what became of its replies."""
    must, totals = "told or meant", {side: Counter[str]() for side in SIDES}
    for group, cases in CORPUS.items():
        found = {side: _became(ask, group, side) for side in SIDES}
        counts = {side: Counter(became.values()) for side, became in found.items()}
        cells = {side: _shown(counted) for side, counted in counts.items()}
        yield Line(
            f"{group} ({len(cases)})", cells, must, _wrong(found[OURS]), _NOTES.get(group, "")
        )
        for case in cases if settings.each else ():
            yield Line(
                f"  {case.name}", {s: f"  {b.get(case.name, 'n/a')}" for s, b in found.items()}
            )
        for side, counted in counts.items():
            totals[side] += counted
    cells = {side: _shown(counts) for side, counts in totals.items()}
    yield Line(f"all ({sum(map(len, CORPUS.values()))})", cells)
    for what, harm in (("changed to garbage", _garbage), ("raised", _raised)):
        shares = {side: f"{harm(counts)} of {counts.total()}" for side, counts in totals.items()}
        yield Line(what, shares, "0", "not 0" if harm(totals[OURS]) else "")
    for name in OUR_OPTIMIZERS:
        every: dict[str, str] = {}
        for group in CORPUS:
            every |= _became(ask, group, OURS, name)
        yield Line(f"all, our {name}", {OURS: _shown(Counter(every.values()))}, must, _wrong(every))


def _became(ask: Ask, group: str, side: str, optimizer: str = "") -> dict[str, str]:
    """What became of a group's replies, by their names, as far as ``side`` knows their mistake."""
    found: dict[str, str] = {}
    form = "gepa" if optimizer == "gepa" else side
    more = {"optimizer": optimizer} if optimizer else {}
    for case in CORPUS[group]:
        reply = spoken(case, group, form)
        if reply is None or (optimizer == "gepa" and case.kind == "code"):  # it leaves code alone
            continue
        answer = ask(side, "reply", **arguments(case, reply), **more)
        found[case.name] = outcome(case, answer)
    return found


def _wrong(became: Mapping[str, str]) -> str:
    """What must not have become of a reply to ours."""
    return "; ".join(
        f"{name}: {what}" for name, what in became.items() if what not in (MEANT, TOLD)
    )


def _garbage(counts: Counter[str]) -> int:
    return counts[GARBAGE]


def _raised(counts: Counter[str]) -> int:
    return sum(number for became, number in counts.items() if became not in OUTCOMES)


def _shown(counts: Counter[str]) -> str:
    names = [*OUTCOMES, *sorted(counts.keys() - set(OUTCOMES))]
    return ", ".join(f"{counts[name]} {name}" for name in names if counts[name]) or "n/a"


# ------------------------------------------------------------------ loops, calls, prompts


def loops(ask: Ask, _settings: Settings) -> Iterator[Line]:
    """A model that refuses everything, and how long it is asked."""
    yield _refusals(ask, SIDES, "")
    for name in OUR_OPTIMIZERS:
        yield _refusals(ask, (OURS,), name)


def _refusals(ask: Ask, sides: Sequence[str], name: str) -> Line:
    more = {"optimizer": name} if name else {}
    found = {side: ask(side, "refusal", text=_REFUSAL, most=_CUT_OFF, **more) for side in sides}
    cells = {
        side: f"{_calls(answer['calls'])}, {answer['ended']}"
        + (", adopted it" if answer["changed"] else "")
        for side, answer in found.items()
    }
    ours = found[OURS]
    wrong = "adopted it" if ours["changed"] else "too long" if ours["calls"] > _ENDED else ""
    note = "" if name else "trace-opt, textgrad: the user's own loop of steps"
    what = f"always refuses, our {name}" if name else "always refuses"
    return Line(what, cells, f"<= {_ENDED} calls", wrong, note)


def steps(ask: Ask, _settings: Settings) -> Iterator[Line]:
    """Calls, prompts and providers of one step."""
    found = {side: ask(side, "calls", examples=EXAMPLES) for side in SIDES}
    cells = {
        side: f"{answer['calls']}" + (f" + {answer['agent']} agent's" if "agent" in answer else "")
        for side, answer in found.items()
    }
    wrong = "" if found[OURS]["calls"] == 1 and found[OURS]["changed"] else "not 1"
    note = "textgrad: one for the judge of each example"
    yield Line(f"model calls, {EXAMPLES} examples", cells, "1", wrong, note)
    found = {side: ask(side, "shown", characters=LONG) for side in SIDES}
    cells = {side: f"{answer['characters']:,}" for side, answer in found.items()}
    fits = found[OURS]["characters"] <= _PROMPT and found[OURS]["changed"]
    yield Line(f"longest prompt, {LONG // 1000} kB value", cells, f"<= {_PROMPT:,}",
               "" if fits else "too long", "gepa: three records of the user's adapter")  # fmt: skip
    yield _provider(ask, 1, "provider fails once", "ours: asked again after a pause")
    yield _provider(ask, 10**6, "provider always fails", "")
    yield from _graphs(ask)


def _provider(ask: Ask, failures: int, what: str, note: str) -> Line:
    found = {side: ask(side, "provider", failures=failures) for side in SIDES}
    cells = {
        side: f"{answer['raised'] or _adopted(answer)}, {_calls(answer['calls'])}"
        for side, answer in found.items()
    }
    kept = found[OURS]["raised"] in ("", "ModelUnavailableError")
    return Line(what, cells, "no other error", "" if kept else "another error", note)


def _graphs(ask: Ask) -> Iterator[Line]:
    """What goes wrong in graphs, and with code."""
    found = {side: ask(side, "outputs") for side in SIDES}
    cells = {side: answer["raised"] or _adopted(answer) for side, answer in found.items()}
    wrong = "" if cells[OURS] == "adopted" else "not adopted"
    yield Line("two outputs, other feedback each", cells, "adopted", wrong,
               "trace-opt: joins outputs by a function of the user's")  # fmt: skip
    found = {side: ask(side, "alike") for side in (OURS, "trace-opt")}
    cells = {side: f"{answer['changed']} changed" for side, answer in found.items()}
    other = {"textgrad": "n/a, no names", "gepa": "n/a, keys of a dict"}
    wrong = "" if found[OURS]["changed"] == 1 else "not one"
    yield Line("one of two names that look alike", cells | other, "1 changed", wrong)
    found = {side: ask(side, "code", new=_ENDING, apart=True) for side in (OURS, "trace-opt")}
    cells = {
        side: answer.get("stopped", "") or f"goes on, {answer['raised'] or 'ran'}"
        for side, answer in found.items()
    }
    other = dict.fromkeys(("textgrad", "gepa"), "n/a, runs no code")
    wrong = str(found[OURS].get("stopped", ""))
    yield Line("code that ends its process", cells | other, "goes on", wrong)


def _calls(number: int) -> str:
    return f"{number} call{'s' if number != 1 else ''}"


def _adopted(answer: Mapping[str, Any]) -> str:
    return "kept" if answer["value"] == OLD else "adopted"


# ------------------------------------------------------------------ credit


def credit(ask: Ask, settings: Settings) -> Iterator[Line]:
    """Which of k equal components is changed first, and how many proposals it takes."""
    for k in settings.writers:
        sides = {side: _trials(ask, side, settings, k, careful=True) for side in SIDES}
        first, *rest = _credited(f"k={k}", sides, settings)
        note = "trace-opt shows some steps as inputs, without what made them"
        yield from (replace(first, note=note), *rest)
        sides = {s: _trials(ask, s, settings, k, careful=False) for s in (OURS, "trace-opt")}
        other = dict.fromkeys(("textgrad", "gepa"), "n/a, shows one")
        yield from _credited(f"k={k}, takes the first", sides, settings, other=other)
        ours = {OURS: _trials(ask, OURS, settings, k, careful=True, optimizer="gepa")}
        theirs = {"gepa": _trials(ask, "gepa", settings, k, careful=True, selector="all")}
        yield from _credited(f"k={k}, our gepa | theirs, all", ours | theirs, settings)


def _trials(
    ask: Ask, side: str, settings: Settings, k: int, *, careful: bool, **more: object
) -> Sequence[Mapping[str, Any]]:
    return [
        ask(side, "credit", k=k, seed=seed, most=3 * k, careful=careful, **more)
        for seed in range(settings.seeds)
    ]


def _credited(
    what: str, sides: Mapping[str, Sequence[Mapping[str, Any]]], settings: Settings,
    *, other: Mapping[str, str] | None = None,
) -> Iterator[Line]:  # fmt: skip
    other = other or {}
    right = {
        side: mean([float(trial["right"]) for trial in trials]) for side, trials in sides.items()
    }
    once = mean([float(trial["proposals"] == 1) for trial in sides[OURS]])
    wrong = "" if min(right[OURS], once) >= _FOUND else "too few"
    yield Line(f"{what}: right at first", {s: f"{share:.0%}" for s, share in right.items()} | other,
               f">= {_FOUND:.0%}", wrong)  # fmt: skip
    cells: dict[str, str] = {}
    for side, trials in sides.items():
        needed = [trial["proposals"] for trial in trials if trial["proposals"]]
        never = settings.seeds - len(needed)
        calls, others = (mean([trial[name] for trial in trials]) for name in ("calls", "others"))
        cells[side] = f"{mean(needed):.1f} / {calls:.1f} / {others:.1f}" + (
            f", {never} never" if never else ""
        )
    yield Line("  proposals / calls / others", cells | other)


# ------------------------------------------------------------------ chance


def chance(ask: Ask, settings: Settings) -> Iterator[Line]:
    """A budget of evaluations, and scores that no text can change."""
    other = dict.fromkeys(("trace-opt", "textgrad"), "n/a, every step stays")
    found = {
        side: [ask(side, "chance", seed=seed, budget=_BUDGET) for seed in range(settings.chances)]
        for side in (OURS, "gepa")
    }
    spent = {side: max(a["evaluations"] for a in answers) for side, answers in found.items()}
    wrong = "" if spent[OURS] <= _BUDGET else "too many"
    cells = {side: str(number) for side, number in spent.items()}
    yield Line(f"evaluations of {_BUDGET}, at most", cells | other, f"<= {_BUDGET}", wrong)
    changed = {side: mean([a["changed"] for a in answers]) for side, answers in found.items()}
    wrong = "" if changed[OURS] <= _BY_CHANCE else "too often"
    cells = {side: f"{share:.0%}" for side, share in changed.items()}
    yield Line("returns another text by chance", cells | other, f"<= {_BY_CHANCE:.0%}", wrong)


TABLE = {
    "replies": ("Bad replies, in each side's own form", replies),
    "loops": ("A model that refuses", loops),
    "steps": ("One step", steps),
    "credit": ("Credit: one of k equal components is at fault", credit),
    "chance": ("Scores that are drawn by chance", chance),
}
