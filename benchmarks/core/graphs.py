"""Programs of many operations: seven shapes, a training iteration, depth and threads.

The text is the same for both sides. Values are one character long, so that what a prompt says is
mostly the graph.
"""

from __future__ import annotations

import gc
import sys
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

from benchmarks.core.clock import Clock, cap, collected
from benchmarks.core.sides import FEEDBACK

Shape = tuple[Any, list[Any]]  # the output, and the parameters


def operations(side: Any) -> Any:
    """The bundled functions that the shapes are made of."""

    @side.bundle()
    def step(x: str) -> str:
        """Make the next value."""
        return x

    @side.bundle()
    def join(x: str, y: str) -> str:
        """Take two values together."""
        return x or y

    @side.bundle()
    def collect(*values: str) -> str:
        """Gather the values of a batch."""
        return values[0]

    return SimpleNamespace(step=step, join=join, collect=collect, node=side.node)


def _parameter(ops: Any) -> Any:
    return ops.node("p", name="p", trainable=True)


def chain(ops: Any, count: int) -> Shape:
    """Each operation reads the last one; one parameter, at the beginning."""
    parameter = output = _parameter(ops)
    for _ in range(count):
        output = ops.step(output)
    return output, [parameter]


def parameters(ops: Any, count: int) -> Shape:
    """A chain with a parameter of its own for each operation."""
    output = ops.node("x")
    made = [_parameter(ops) for _ in range(count)]
    for parameter in made:
        output = ops.join(output, parameter)
    return output, made


def fan_in(ops: Any, count: int) -> Shape:
    """One operation for each example, and one that gathers them all."""
    parameter = _parameter(ops)
    examples = [ops.join(parameter, ops.node("x")) for _ in range(count - 1)]
    return ops.collect(*examples), [parameter]


def fan_out(ops: Any, count: int) -> Shape:
    """A chain of which each operation reads the one parameter."""
    parameter, output = _parameter(ops), ops.node("x")
    for _ in range(count):
        output = ops.join(output, parameter)
    return output, [parameter]


def lattice(ops: Any, count: int) -> Shape:
    """Two operations abreast, each reading both before it."""
    parameter = _parameter(ops)
    left, right = ops.step(parameter), ops.step(parameter)
    for _ in range((count - 3) // 2):
        left, right = ops.join(left, right), ops.join(right, left)
    return ops.join(left, right), [parameter]


def tree(ops: Any, count: int) -> Shape:
    """A balanced binary tree, whose leaves read the parameter and an input each."""
    parameter = _parameter(ops)
    level = [ops.join(parameter, ops.node("x")) for _ in range((count + 1) // 2)]
    while len(level) > 1:
        odd = level[len(level) // 2 * 2 :]
        level = [ops.join(*pair) for pair in zip(level[::2], level[1::2], strict=False)] + odd
    return level[0], [parameter]


def minibatch(ops: Any, count: int) -> Shape:
    """Examples of ten operations each, and one that gathers them."""
    parameter, examples = _parameter(ops), list[Any]()
    for _ in range(max(1, count // 10)):
        output = ops.join(parameter, ops.node("x"))
        for _ in range(9):
            output = ops.step(output)
        examples.append(output)
    return ops.collect(*examples), [parameter]


SHAPES = {
    "chain": chain,
    "tree": tree,
    "minibatch": minibatch,
    "fan-in": fan_in,
    "fan-out": fan_out,
    "lattice": lattice,
    "chain of parameters": parameters,
}


def backward(
    side: Any, shape: str, count: int, loops: int = 1, capped: float | None = None
) -> dict[str, float]:
    """Backward and prompt text of a graph, each bounded by ``capped`` CPU seconds.

    Gives the sums of all loops, and the counts of one.
    """
    back, prompt, fitted = Clock(), Clock(), Clock()
    text, fit, nodes, edges, trained = "", "", 0, 0, list[Any]()
    for _ in range(loops):
        output, trained = SHAPES[shape](operations(side), count)
        gc.collect()  # what building left behind is no cost of what follows
        cap(capped)
        with back:
            graph = side.backward(output, trained)
        cap(capped)
        with prompt:
            text = side.prompt(graph, trained)
        cap(capped)
        with fitted:
            fit = side.fitted(graph)
        if not nodes:
            nodes, edges = side.counted(graph)
        side.forget()
    return {
        "seconds": back.seconds + prompt.seconds,
        "backward": back.seconds,
        "prompt": prompt.seconds,
        "fitted": fitted.seconds,
        "nodes": nodes,
        "edges": edges,
        "parameters": len(trained),
        "characters": len(text),
        "fitted characters": len(fit),
    }


def deep(side: Any, verb: str, count: int, capped: float | None = None) -> dict[str, float]:
    """One verb on the end of a chain."""
    limit = sys.getrecursionlimit()
    output, (parameter,) = chain(operations(side), count)
    gc.collect()
    cap(capped)
    with Clock() as clock:
        if verb == "copy":
            side.copy(output)
        elif verb == "state":
            side.state(parameter, output)
        elif verb == "drawing":
            side.draw(output)
        else:
            side.prompt(side.backward(output, [parameter]), [parameter])
    return {"seconds": clock.seconds, "recursion limit": limit}


def training(side: Any, loops: int, *, memory: bool = False) -> dict[str, float]:
    """Iterations of 81 operations, backward and a step with a stub model.

    With ``memory``, how many bytes each adds for good; else, how long they take.
    """
    ops = operations(side)
    parameter = _parameter(ops)
    optimizer, said = side.optimizer(parameter)

    def iterations(count: int) -> None:
        for _ in range(count):
            examples = list[Any]()
            for _ in range(8):
                output = ops.join(parameter, ops.node("x"))
                for _ in range(9):
                    output = ops.step(output)
                examples.append(output)
            output = ops.collect(*examples)
            optimizer.zero_feedback()
            optimizer.backward(output, FEEDBACK)
            optimizer.step()

    iterations(5 if not memory else loops)
    grown = 0.0
    if memory:
        tracemalloc.start()
        iterations(loops)  # lists that grow by doubling, caches that fill
        before = collected()
        iterations(loops)
        grown = (collected() - before) / loops
        tracemalloc.stop()
    with Clock() as clock:
        iterations(loops)
    if parameter.data != said[-1]:
        msg = f"the parameter is {parameter.data!r}, and the stub said {said[-1]!r}"
        raise AssertionError(msg)
    return {"seconds": clock.seconds, "grown": grown, "said": float(said[-1])}


def threads(side: Any, programs: int, workers: int = 32) -> dict[str, object]:
    """How many programs go wrong that are traced at the same time.

    The operations wait, as those that call models do.
    """

    @side.bundle()
    def ask(x: int, y: int) -> int:
        """Add x and y after a while."""
        time.sleep(0.001)
        return x + y

    def right(number: int) -> bool:
        parameter = output = side.node(number, trainable=True)
        for index in range(4):
            output = ask(output, side.node(index))
        steps, node = 0, output
        while node is not parameter and len(side.parents(node)) == 2:
            steps, node = steps + 1, side.parents(node)[0]
        return output.data == number + 6 and steps == 4 and node is parameter

    def wrong(number: int) -> bool:
        try:
            return not right(number)
        except Exception as error:  # noqa: BLE001 (whatever it raises, the program went wrong)
            raised.add(type(error).__name__)
            return True

    raised: set[str] = set()
    with ThreadPoolExecutor(workers) as pool:
        count = sum(pool.map(wrong, range(programs)))
    return {"wrong": count, "raised": ", ".join(sorted(raised))}
