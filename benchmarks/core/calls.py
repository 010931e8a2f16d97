"""Programs of single operations: what a call, an operator and a node cost.

Each runs ``loops`` operations on a side and gives the CPU seconds and the last output. The text
is the same for all sides.
"""

from __future__ import annotations

import importlib.util
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.core.clock import Clock, collected

Found = tuple[float, Any]


def bundled(side: Any, loops: int) -> Found:
    """A bundled function of two nodes."""

    @side.bundle()
    def step(x: int, y: int) -> int:
        """Add x and y."""
        return x + y

    a, b = side.node(1, trainable=True), side.node(2)
    with Clock() as clock:
        for _ in range(loops):
            step(a, b)
    return clock.seconds, step(a, b)


def bundled_plain(side: Any, loops: int) -> Found:
    """The same, of a node and a plain value."""

    @side.bundle()
    def step(x: int, y: int) -> int:
        """Add x and y."""
        return x + y

    a = side.node(1, trainable=True)
    with Clock() as clock:
        for _ in range(loops):
            step(a, 2)
    return clock.seconds, step(a, 2)


def bundled_inside(side: Any, loops: int) -> Found:
    """The same as the first, inside the forward of a module."""

    @side.bundle()
    def step(x: int, y: int) -> int:
        """Add x and y."""
        return x + y

    a, b = side.node(1, trainable=True), side.node(2)
    clock = Clock()

    def forward() -> Any:
        with clock:
            for _ in range(loops):
                step(a, b)
        return step(a, b)

    output = side.module(forward)()
    return clock.seconds, output


def add(side: Any, loops: int) -> Found:
    """The operator + on two nodes."""
    a, b = side.node(1, trainable=True), side.node(2)
    with Clock() as clock:
        for _ in range(loops):
            a + b
    return clock.seconds, a + b


def item(side: Any, loops: int) -> Found:
    """An item of a list."""
    x = side.node([1, 2], trainable=True)
    with Clock() as clock:
        for _ in range(loops):
            x[0]
    return clock.seconds, x[0]


def formatted(side: Any, loops: int) -> Found:
    """The method format of a text, with a node as its argument."""
    s, v = side.node("a {} b", trainable=True), side.node("c")
    with Clock() as clock:
        for _ in range(loops):
            s.format(v)
    return clock.seconds, s.format(v)


# ---------------------------------------------------------------- trainable functions

_SOURCE = '''\
def make(side):
    @side.trained.bundle()
    def step(x, y):
        """Add x and y."""
{rules}        return x + y
    return step
'''
# two lines of a policy as optimizers write them: few of the branches are taken
_RULE = "        if x > {number} and y > 0:\n            x = (x * {number} + y) % 101\n"


def trainable(side: Any, loops: int, lines: int, *, changed: bool) -> Found:
    """A trainable function of so many lines (or one less): the user's own, or another one."""
    step = _function(side, lines)
    if changed:
        side.change(step, "return x + y", "return y + x")
    a, b = side.node(1, trainable=True), side.node(2)
    output = step(a, b)
    with Clock() as clock:
        for _ in range(loops):
            step(a, b)
    return clock.seconds, output


def _function(side: Any, lines: int) -> Any:
    """From a file of its own, since trainable functions need a source."""
    file = Path(f"source_{lines}.py")
    rules = "".join(_RULE.format(number=number) for number in range(10, 10 + (lines - 3) // 2))
    file.write_text(_SOURCE.format(rules=rules), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(file.stem, file.resolve())
    assert spec is not None  # noqa: S101 (for a .py file there is one)
    assert spec.loader is not None  # noqa: S101 (as above)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make(side)


# ---------------------------------------------------------------- many parameters, memory


def below(side: Any, loops: int, parameters: int) -> Found:
    """An operator on a node that depends on so many parameters."""
    total = _total(side, parameters)
    with Clock() as clock:
        for _ in range(loops):
            total + 1
    return clock.seconds, total + 1


def _total(side: Any, parameters: int) -> Any:
    total = side.node(0, trainable=True)
    for _ in range(parameters - 1):
        total = total + side.node(0, trainable=True)
    return total


def held(side: Any, loops: int, kind: str) -> dict[str, float]:
    """Bytes per node of an operation, and bytes kept for each once nobody refers to it."""

    @side.bundle()
    def step(x: int, y: int) -> int:
        """Add x and y."""
        return x + y

    parameters = int(kind.removeprefix("below ")) if kind.startswith("below ") else 1
    a, b = _total(side, parameters), side.node(2)
    makes: dict[str, Callable[[], Any]] = {"bundled": lambda: step(a, b)}
    make = makes.get(kind, lambda: a + b)
    kept: list[Any] = [make() for _ in range(loops)]  # caches are warm, and the list has its size
    for index in range(loops):
        kept[index] = None
    side.forget()
    tracemalloc.start()
    before = collected()
    for index in range(loops):
        kept[index] = make()
    made = collected()
    for index in range(loops):
        kept[index] = None
    after = collected()
    tracemalloc.stop()
    return {"bytes": (made - before) / loops, "kept": (after - before) / loops}
