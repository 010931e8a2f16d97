"""Product code stays small enough to read: modules, functions, argument lists."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    path
    for folder in (ROOT / "trace_bridge", *ROOT.glob("plugins/*/trace_bridge_*"))
    for path in folder.rglob("*.py")
)
MAX_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_PARAMETERS = 8
UNFINISHED = ("TO" + "DO", "FIX" + "ME")


def parameters(function):
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return [name for name in (argument.arg for argument in named) if name not in {"self", "cls"}]


def complaints(source):
    lines = source.splitlines()
    if len(lines) > MAX_LINES:
        yield f"{len(lines)} lines"
    for number, line in enumerate(lines, 1):
        if any(word in line for word in UNFINISHED):
            yield f"line {number}: unfinished"
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id="print")):
                yield f"line {node.lineno}: print"
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > MAX_FUNCTION_LINES:
                    yield f"line {node.lineno}: {node.name} has {length} lines"
                # `optimize` and its like are the front door, where every knob has its place.
                count = len(parameters(node))
                if count > MAX_PARAMETERS and not node.name.startswith("optimize"):
                    yield f"line {node.lineno}: {node.name} has {count} parameters"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_is_small_and_finished(path):
    assert not list(complaints(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "source",
    [
        "\n" * (MAX_LINES + 1),
        "def f():\n" + "    pass\n" * MAX_FUNCTION_LINES,
        "class C:\n    async def f(self, a, b, c, d, /, e, f, g, *, h, i): ...\n",
        "print('here')\n",
        f"x = 1  # {UNFINISHED[0]}\n",
    ],
)
def test_the_check_complains(source):
    assert list(complaints(source))


def test_the_front_door_may_take_more():
    assert not list(complaints("def optimize_async(a, b, c, d, e, f, g, h, i): ...\n"))
