"""Every Python block of the README and of docs/ runs, file by file and in order."""

import re
from pathlib import Path

import pytest

import trace_bridge
from trace_bridge import hookspecs

ROOT = Path(__file__).parents[1]
FILES = [
    ROOT / "README.md",
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("plugins/*/README.md")),
]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_blocks_run(path):
    namespace = {"__name__": "docs"}
    text = path.read_text(encoding="utf-8")
    for match in BLOCK.finditer(text):
        line = text[: match.start()].count("\n") + 1
        padded = "\n" * line + match[1]  # so that a traceback shows the line of the page
        exec(compile(padded, str(path), "exec"), namespace)  # noqa: S102 (our own pages)


def test_links_lead_somewhere():
    for path in FILES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_the_public_names_are_sorted_and_there():
    assert trace_bridge.__all__ == sorted(trace_bridge.__all__, key=_by_case)
    for name in trace_bridge.__all__:
        assert getattr(trace_bridge, name) is not None
    assert set(trace_bridge.__all__) <= set(dir(trace_bridge))


def _by_case(name):
    """As ruff sorts: constants, then classes, then functions."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'optimise'"):
        trace_bridge.optimise  # noqa: B018


def test_the_readme_shows_a_finished_demo():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = text.partition("<!-- demo -->")[2].partition("<!-- /demo -->")[0]
    for words in ("better: 0.0", "baseline plain 8 demonstrations", "tuned program:", "journal:"):
        assert words in shown, "run make readme"


def test_every_hook_has_a_heading():
    text = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    specified = [n for n, v in vars(hookspecs).items() if hasattr(v, "trace_bridge_spec")]
    assert specified
    for name in specified:
        assert f"\n## {name}\n" in text
