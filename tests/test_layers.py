"""Framework plugins use only what everybody may use: the public names and the test kit.

The layers inside trace_bridge are import-linter's business (see pyproject.toml, `make check`).
"""

import ast
from pathlib import Path

import pytest

import trace_bridge

ROOT = Path(__file__).parents[1]
PLUGINS = sorted(ROOT.glob("plugins/*/trace_bridge_*"))


def forbidden_imports(source, plugin, public):
    """What a file of ``plugin`` imports from the core's inside or from another plugin."""
    modules, names = set(), set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            if node.module == "trace_bridge":
                names.update(alias.name for alias in node.names)
            else:
                modules.add(node.module)
    inside = {
        module
        for module in modules
        if module.startswith("trace_bridge.")
        and not f"{module}.".startswith("trace_bridge.testing.")
    }
    others = {
        module
        for module in modules
        if module.startswith("trace_bridge_") and module.partition(".")[0] != plugin
    }
    private = {f"trace_bridge.{name}" for name in names - public}
    return inside | others | private


@pytest.mark.parametrize("package", PLUGINS, ids=lambda package: package.name)
def test_a_plugin_imports_public_names_only(package):
    public = {*trace_bridge.__all__, "testing"}
    found = {
        f"{path.relative_to(ROOT)}: {module}"
        for path in package.rglob("*.py")
        for module in forbidden_imports(path.read_text(encoding="utf-8"), package.name, public)
    }
    assert not found


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ("import trace_bridge as tb", True),
        ("from trace_bridge import Module", True),
        ("from trace_bridge import testing", True),
        ("from trace_bridge.testing import ScriptedLLM", True),
        ("from trace_bridge_dspy.module import DSPyModule", True),
        ("from .module import DSPyModule", True),
        ("from trace_bridge import graph", False),
        ("import trace_bridge.graph.node", False),
        ("from trace_bridge.testing_extras import x", False),
        ("from trace_bridge_langchain import x", False),
    ],
)
def test_the_check_knows_allowed_from_forbidden(line, allowed):
    assert bool(forbidden_imports(line, "trace_bridge_dspy", {"Module", "testing"})) is not allowed
