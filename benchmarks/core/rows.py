"""The rows of the table: which cases they run, and what must hold (the issue's figures)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from benchmarks.core import imports
from benchmarks.core.arithmetic import amount, exponent, last, paired, seconds, short, size, tenfold
from benchmarks.core.graphs import SHAPES
from benchmarks.core.peers import OURS
from benchmarks.core.session import Pair, Session
from benchmarks.core.sides import BUDGET
from benchmarks.core.table import Goal, Row

Rows = Iterator[Row]
PEER = "trace-opt"
LINEAR = 1.1  # the exponent of a count that is in proportion (identifiers get longer)
NOTHING = 1.0  # bytes for each operation that measuring memory itself may leave


def _row(what: str, pair: Pair, goal: Goal) -> Row:
    theirs, ours = pair.their_counts["parents"], pair.our_counts["parents"]
    return Row(
        what, seconds(pair.theirs), seconds(pair.ours), pair.ratio.median, goal, str(pair.ratio),
        f"edges {theirs} | {ours}", "" if theirs == ours else "edges differ",
    )  # fmt: skip


def calls(session: Session) -> Rows:
    """A bundled call: what trace-opt records, ours does."""
    goal = Goal(20, 30)
    yield _row("two nodes", session.pairs(PEER, "bundled"), goal)
    yield _row("a node and a plain value", session.pairs(PEER, "bundled_plain"), goal)
    yield _row("two nodes, in a forward", session.pairs(PEER, "bundled_inside"), goal)


def trainable(session: Session) -> Rows:
    """A changed source is compiled once by ours; trace-opt runs the source at each call."""
    for lines, goal in ((3, Goal(30, 40)), (100, Goal(150, 300))):
        for changed in (False, True):
            what = f"{lines} lines, {'changed, unsafe=True' if changed else 'unchanged'}"
            pair = session.pairs(PEER, "trainable", lines=lines, changed=changed)
            yield _row(what, pair, goal)


def operators(session: Session) -> Rows:
    """Operators and methods of nodes."""
    for what, case in (("a + b", "add"), ("x[0]", "item"), ("s.format(v)", "formatted")):
        yield _row(what, session.pairs(PEER, case), Goal(40, 100))


def memory(session: Session) -> Rows:
    """What a node takes, and what stays when nobody refers to it and the garbage is gone."""
    for what, kind in (("a + b", "add"), ("a bundled call", "bundled")):
        theirs, ours = (session[side].ask("held", loops=500, kind=kind) for side in (PEER, OURS))
        yield Row(
            f"bytes per node, {what}", amount(theirs["bytes"]), amount(ours["bytes"]),
            ours["bytes"], Goal(450, 350, "B", least=False),
        )  # fmt: skip
        yield Row(
            f"kept after del, {what}", amount(theirs["kept"]), amount(ours["kept"]),
            _nothing(ours["kept"]), Goal(0, 0, "B", least=False),
        )  # fmt: skip


def _nothing(held: float) -> float:
    return 0.0 if abs(held) < NOTHING else held


def below(session: Session) -> Rows:
    """An operation on what depends on 1,000 parameters, over one on what depends on one."""
    ratios = {}
    for side, loops in ((PEER, 100), (OURS, 4000)):
        took: dict[int, list[float]] = {1: [], 1000: []}
        for _ in range(min(9, session.settings.rounds)):
            for parameters, spent in took.items():
                answer = session[side].ask("below", loops=loops, parameters=parameters)
                spent.append(answer["seconds"])
        ratios[side] = paired(took[1], took[1000])
    yield Row(
        "time, 1,000 over 1 parameter", f"{short(ratios[PEER].median)}x", str(ratios[OURS]),
        ratios[OURS].median, Goal(1.1, None, least=False),
    )  # fmt: skip
    held = {
        (side, n): session[side].ask("held", loops=200, kind=f"below {n}")["bytes"]
        for side in (PEER, OURS)
        for n in (1, 1000)
    }
    more = {side: held[side, 1000] - held[side, 1] for side in (PEER, OURS)}
    yield Row(
        "more bytes per operation", amount(more[PEER]), amount(more[OURS]), _nothing(more[OURS]),
        Goal(0, 0, "B", least=False),
    )  # fmt: skip


def prompts(session: Session) -> Rows:
    """Backward and the text of the prompt, for 1,000 operations."""
    small = {"chain", "tree", "minibatch"}
    for shape in SHAPES:
        loops = {PEER: 1, OURS: 3}
        pair = session.alternate(PEER, "backward", loops, {"shape": shape, "count": 1000})
        theirs, ours = pair.their_counts, pair.our_counts
        characters = f"{theirs['characters']:,} | {ours['characters']:,} characters"
        edges = f"edges {theirs['edges']:,} | {ours['edges']:,}"
        goal = Goal(25, 40) if shape in small else Goal(300, 800)
        yield Row(
            shape, seconds(pair.theirs), seconds(pair.ours), pair.ratio.median, goal,
            str(pair.ratio), f"{edges}; {characters}",
            "" if theirs["edges"] == ours["edges"] else "edges differ",
        )  # fmt: skip


def growth(session: Session) -> Rows:
    """The exponent of backward and prompt, over the largest ten-fold growth that was run.

    Of ours, the median of pairs of equal work: ten graphs, and one that is ten times as large.
    """
    settings, goal = session.settings, Goal(1.15, 1.1, "", least=False)
    for shape in SHAPES:
        peers, stopped = session.growing(PEER, "backward", settings.sizes, shape=shape)
        theirs = exponent(last({n: found["seconds"] for n, found in peers.items()}))
        pairs = session.tenfold("backward", shape=shape)
        small, large = pairs[-1]
        counts = {
            what: exponent({1: small[what], 10: large[what]}) or 0.0
            for what in ("edges", "characters")
        }
        slope, spread = _slope(pairs, "seconds")
        yield Row(
            shape, f"{theirs:.2f}" if theirs else "-", f"{slope:.2f}", slope, goal,
            f"{spread} to {size(settings.largest)}",
            f"stops: {stopped or 'no'}; ours: {seconds(large['seconds'])}, edges "
            f"{counts['edges']:.2f}, characters {counts['characters']:.2f}",
            "counts grow faster than the graph" if max(counts.values()) > LINEAR else "",
        )  # fmt: skip
        slope, spread = _slope(pairs, "fitted")
        fitted, cut = large["fitted characters"], large["parameters"] == 1
        yield Row(
            f"  in {BUDGET:,} characters", "no budget", f"{slope:.2f}", slope, goal,
            f"{spread} to {size(settings.largest)}",
            f"{fitted:,} characters" + ("" if cut else ", since no parameter is ever cut"),
            "over the budget" if cut and fitted > BUDGET else "",
        )  # fmt: skip


def _slope(pairs: Sequence[tuple[Mapping[str, float], ...]], what: str) -> tuple[float, str]:
    small, large = zip(*pairs, strict=True)
    found = paired([answer[what] for answer in small], [answer[what] for answer in large])
    slope, low, high = tenfold(found)
    return slope, f"({low:.2f}-{high:.2f})"


def training(session: Session) -> Rows:
    """An iteration: 81 operations, backward and a step of OptoPrime, whose model is a stub."""
    pair = session.alternate(PEER, "training", {PEER: 5, OURS: 50}, {})
    yield Row(
        "CPU time", seconds(pair.theirs), seconds(pair.ours), pair.ratio.median, Goal(15, 25),
        str(pair.ratio),
    )  # fmt: skip
    grown = {
        side: session[side].ask("training", loops=loops, memory=True)["grown"]
        for side, loops in ((PEER, 40), (OURS, 1000))
    }
    yield Row(
        "memory that each adds", amount(grown[PEER]), amount(grown[OURS]),
        _nothing(grown[OURS] / 81),
        Goal(0, 0, "B", least=False),
    )  # fmt: skip


def depth(session: Session) -> Rows:
    """A chain, with Python's recursion limit as it is."""
    largest = session.settings.largest
    for verb in ("copy", "state", "drawing", "backward"):
        _, theirs = session.growing(PEER, "deep", session.settings.sizes, verb=verb)
        found, ours = session.growing(OURS, "deep", [largest], verb=verb)
        took = seconds(found[largest]["seconds"]) if found else "-"
        yield Row(
            verb, "", took, 1.0 if found else 0.0, Goal(1, unit=""),
            f"{'works' if found else 'fails'} at {size(largest)}",
            f"{PEER}: {theirs or 'works'}", ours,
        )  # fmt: skip


def threads(session: Session) -> Rows:
    """Traced programs at the same time on 32 threads; those that go wrong are counted."""
    theirs, ours = (session[side].ask("threads", programs=1000) for side in (PEER, OURS))
    yield Row(
        "wrong of 1,000 programs", f"{theirs['wrong']}", f"{ours['wrong']}", ours["wrong"],
        Goal(0, 0, "", least=False), counts=f"{theirs['raised']} | {ours['raised'] or 'nothing'}",
    )  # fmt: skip


def importing(session: Session) -> Rows:
    """The CPU time of a fresh interpreter that imports, less that of one that does nothing."""
    yield from imports.rows(session)


def textgrad(session: Session) -> Rows:
    """Beside textgrad, whose model is a stub. The issue sets no goal here."""
    shown = replace(Goal(), must=None)
    cases: tuple[tuple[str, str, dict[str, object], Goal], ...] = (
        ("a trainable text", "leaf", {}, shown),
        ("the sum of two texts", "plus", {}, shown),
        ("a call of a model, with log", "asked", {"log": True}, Goal(None, 8)),
        ("the same, its log off", "asked", {"log": False}, Goal(None, 1)),
    )
    for what, case, arguments, goal in cases:
        yield _row(what, session.pairs("textgrad", case, **arguments), goal)
    _, theirs = session.growing("textgrad", "depth", [300, 900, 1000, 3000])
    largest = session.settings.largest
    found, ours = session.growing(OURS, "depth", [largest])
    yield Row(
        "backward over a chain of calls", "", seconds(found[largest]["seconds"]) if found else "-",
        counts=f"textgrad: {theirs or 'works'}; ours: {ours or f'works at {size(largest)}'}",
    )  # fmt: skip


def openinference(session: Session) -> Rows:
    """Beside OpenInference's decorator, which writes a span for each call and keeps no edges."""
    pair = session.pairs("openinference", "bundled")
    yield Row(
        "a decorated function", seconds(pair.theirs), seconds(pair.ours), pair.ratio.median,
        Goal(), str(pair.ratio), f"edges none | {pair.our_counts['parents']}",
    )  # fmt: skip


# name -> title, peer, rows
TABLE: dict[str, tuple[str, str, Callable[[Session], Rows]]] = {
    "calls": ("Bundled call, all features on", PEER, calls),
    "trainable": ("Trainable call", PEER, trainable),
    "operators": ("Node operators", PEER, operators),
    "memory": ("Memory of operation nodes", PEER, memory),
    "below": ("Operation below 1,000 parameters", PEER, below),
    "prompts": ("Backward + prompt text, 1,000 operations", PEER, prompts),
    "growth": ("Growth exponent of backward + prompt text", PEER, growth),
    "training": ("Training iteration of 81 operations, stub model", PEER, training),
    "depth": ("Depth: a chain of operations", PEER, depth),
    "threads": ("Threads: 1,000 traced programs on 32", PEER, threads),
    "import": ("Import, CPU over bare python", PEER, importing),
    "textgrad": ("Beside textgrad, stub model", "textgrad", textgrad),
    "openinference": ("Beside OpenInference", "openinference", openinference),
}
