"""What importing costs, in fresh interpreters."""

from __future__ import annotations

import resource
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks.core.arithmetic import seconds, short
from benchmarks.core.peers import OURS, interpreter, surroundings
from benchmarks.core.session import Session
from benchmarks.core.table import Goal, Row

# What `import trace_bridge` must not load: the list of the first issue.
HEAVY = (
    "autogen_agentchat", "autogen_core", "click", "dspy", "jinja2", "langchain_core", "litellm",
    "numpy", "pydantic", "rich", "sqlite3",
)  # fmt: skip
_NAMES = "from trace_bridge import Module, OptoPrime, Recorder, bundle, node"
_COUNT = "\nimport sys; print(len(sys.modules), *[n for n in {heavy!r} if n in sys.modules])"


def rows(session: Session) -> Iterator[Row]:
    """Ours against the package of nodes, and with the optimizer against theirs."""
    goal = Goal(0.1, 0.04, "s", least=False)
    pairs = (
        ("import trace_bridge", "import trace_bridge", "trace-opt", "import opto.trace", goal),
        ("with nodes and optimizer", _NAMES, "trace-opt", "import opto.optimizers", goal),
        ("the same, beside textgrad", _NAMES, "textgrad", "import textgrad", Goal(unit="s")),
    )
    bare, (count, _) = 0.0, _modules(session, OURS, "")
    for what, ours, peer, theirs, wanted in pairs:
        loaded, heavy = _modules(session, OURS, ours)
        beside, _ = _modules(session, peer, theirs)
        took: dict[str, list[float]] = {"bare": [], "ours": [], "theirs": []}
        while sum(took["theirs"]) < session.settings.patience and len(took["theirs"]) < 5:
            idle = _child(session, OURS, "pass")
            took["bare"].append(idle)
            took["ours"].append(_child(session, OURS, ours) - idle)
            took["theirs"].append(_child(session, peer, theirs) - _child(session, peer, "pass"))
        bare = statistics.median(took["bare"])
        mine, other = statistics.median(took["ours"]), statistics.median(took["theirs"])
        yield Row(
            what, seconds(other), seconds(mine), mine, wanted,
            f"{short(other / mine)}x",
            f"modules {beside} | {loaded} (bare {count}); bare {seconds(bare)}",
            f"loads {heavy}" if heavy else "",
        )  # fmt: skip


def _child(session: Session, side: str, code: str) -> float:
    before = _spent()
    _python(session, side, code)
    return _spent() - before


def _spent() -> float:
    """CPU seconds of the children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _modules(session: Session, side: str, code: str) -> tuple[int, str]:
    """How many modules are loaded then, and which heavy ones."""
    printed = _python(session, side, code + _COUNT.format(heavy=HEAVY))
    count, *heavy = printed.splitlines()[-1].split()  # some greet before
    return int(count), " ".join(heavy)


def _python(session: Session, side: str, code: str) -> str:
    home: Path = session.home / "import"
    home.mkdir(exist_ok=True)
    done = subprocess.run(
        [interpreter(side), "-c", code], cwd=home, env=dict(surroundings(home)), text=True,
        capture_output=True, check=True,
    )  # fmt: skip
    return done.stdout
