"""The key of an agent's code changes with whatever the code refers to, and with nothing else."""

import functools
import importlib
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from trace_bridge.graph.code import code_digest

BASE = """
    import functools, json, os
    import other
    LIMIT = 3
    TABLE = {"a": 1}

    def helper(x):
        return x + LIMIT

    class Base:
        def shared(self):
            return helper(1)

    class Agent(Base):
        def run(self, x):
            return json.dumps(helper(x)) + TABLE["a"]

    class Client:
        @property
        def url(self):
            return address()

        @functools.cached_property
        def key(self):
            return secret()

    def address():
        return "here"

    def secret():
        return "key"

    def listed(x):
        return x * 2

    def deep(x):
        return x * 3

    def fetch(x):
        return x * 4

    client = Client()
    tools = {"fetch": fetch}

    def agent(x):
        def nested(y):
            return deep(y)
        numbers = [listed(y) for y in x]
        return Agent().run(x), nested(x), client.url, numbers, tools, other.search(x)

    def unused(x):
        return os.getcwd()
    """


@pytest.fixture
def digest_of(tmp_path):
    """The digest of ``agent`` in a module with that text, made by another process."""

    def digest(text, name="agent", seed="0", other="def search(x): return SIZE\nSIZE = 1"):
        (tmp_path / "other.py").write_text(other, encoding="utf-8")
        (tmp_path / "subject.py").write_text(textwrap.dedent(text), encoding="utf-8")
        program = (
            "import subject; from trace_bridge.graph.code import code_digest;"
            f" print(code_digest(subject.{name}))"
        )
        return subprocess.run(
            [sys.executable, "-B", "-c", program],
            cwd=tmp_path,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    return digest


def test_the_same_code_has_the_same_key(digest_of):
    assert digest_of(BASE, seed="1") == digest_of(BASE, seed="2")
    assert digest_of(BASE) == digest_of(BASE.replace("os.getcwd()", "1"))  # not referred to


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Agent().run(x)", "Agent().run(x) + 1"),
        ("x + LIMIT", "x - LIMIT"),
        ("LIMIT = 3", "LIMIT = 4"),
        ("helper(1)", "helper(2)"),
        ('+ TABLE["a"]', '+ TABLE["b"]'),
        ('{"a": 1}', '{"a": 2}'),
        ("x * 2", "x * 20"),
        ("x * 3", "x * 30"),
        ("x * 4", "x * 40"),
        ('"here"', '"there"'),
        ('"key"', '"another key"'),
    ],
)
def test_a_change_anywhere_in_it_changes_the_key(digest_of, old, new):
    assert old in BASE
    assert digest_of(BASE) != digest_of(BASE.replace(old, new))


def test_the_users_other_modules_count(digest_of):
    same = digest_of(BASE)
    assert same == digest_of(BASE, other="SIZE = 1\n\n\ndef search(x): return SIZE\nMORE = 2")
    assert same != digest_of(BASE, other="def search(x): return SIZE\nSIZE = 2")
    assert same != digest_of(BASE, other="def search(x): return SIZE + 1\nSIZE = 1")


def test_wrapped_and_partial_functions_and_methods():
    def inner(x):
        return x

    def other(x):
        return x + 1

    @functools.wraps(inner)
    def wrapper(*args):
        return inner(*args)

    class Agent:
        def run(self):
            return 1

    assert code_digest(wrapper) == code_digest(inner)
    assert code_digest(Agent().run) == code_digest(Agent.run)
    assert code_digest(functools.partial(inner, 1)) != code_digest(functools.partial(other, 1))


def test_closures_count():
    def made(number):
        def agent():
            return number

        return agent

    assert code_digest(made(1)) != code_digest(made(2))
    assert code_digest(made(1)) == code_digest(made(1))


def test_code_without_source():
    first, same, other = {}, {}, {}
    exec("def f(x): return x + 1", first)  # noqa: S102
    exec("def f(x): return x + 1", same)  # noqa: S102
    exec("def f(x): return x + 2", other)  # noqa: S102
    for namespace in (first, same, other):
        namespace["f"].__module__ = "somewhere"
    assert code_digest(first["f"]) == code_digest(same["f"]) != code_digest(other["f"])


def test_code_from_a_page_of_documentation(tmp_path):
    """``inspect`` parses the file that a class names, and that may be no Python."""
    page, spaces = tmp_path / "page.md", [{"__name__": "page"} for _ in range(2)]
    page.write_text("# A page\n\nWorks with version 1.x.\n", encoding="utf-8")
    for space, number in zip(spaces, (1, 2), strict=True):
        text = f"class Made:\n    def run(self):\n        return {number}"
        exec(compile(text, str(page), "exec"), space)  # noqa: S102
    assert code_digest(spaces[0]["Made"]) != code_digest(spaces[1]["Made"])


def test_what_is_installed_counts_by_name():
    assert code_digest(json.dumps) == code_digest(json.dumps)
    assert code_digest(json.dumps) != code_digest(json.loads)


def test_what_is_no_code_adds_nothing():
    assert code_digest(1, "x", None) == code_digest()


def test_a_callable_object_is_its_class_and_what_it_holds():
    class Judge:
        def __init__(self, strict):
            self.strict = strict

        def __call__(self, example, output):
            return 1.0

    class Other:
        def __call__(self, example, output):
            return 0.0

    assert code_digest(Judge(True)) == code_digest(Judge(True))
    assert code_digest(Judge(True)) != code_digest(Judge(False))
    assert code_digest(Judge(True)) != code_digest(Other())


def test_code_without_a_file_has_the_same_key_in_each_process():
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from trace_bridge.graph.code import code_digest\n"
        "space = {}\n"
        "exec('def f(x):\\n    return [y for y in x if y in {1, 2, \\'a\\'}]', space)\n"
        "space['f'].__module__ = None\n"
        "print(code_digest(space['f']))"
    )
    root = str(Path(__file__).parents[2])
    keys = {
        subprocess.run(
            [sys.executable, "-c", script, root], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(3)
    }
    assert len(keys) == 1


def test_names_that_trace_bridge_resolves_later_change_nothing():
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import trace_bridge as tb\n"
        "from trace_bridge.graph.code import code_digest\n"
        "def agent(x):\n"
        "    with tb.model_call('m'):\n"
        "        return x\n"
        "before = code_digest(agent)\n"
        "agent(1)\n"
        "assert code_digest(agent) == before"
    )
    root = str(Path(__file__).parents[2])
    subprocess.run([sys.executable, "-c", script, root], check=True)


USER = {
    "agent_code": """
import other_code
from other_code import helper

CHECKS = [helper, other_code.later]
TABLE = {"check": helper}

class Client:
    def call(self, x):
        return x

def run(x):
    def inner():
        return [check(x) for check in CHECKS]
    return inner(), TABLE["check"](x), other_code.other(x), Client().call(x), unknown(x)
""",
    "other_code": """
import json

def helper(x):
    return x

def later(x):
    return x + 1

def other(x):
    return json.dumps(x)
""",
}


def _imported(folder, monkeypatch, changes=()):
    monkeypatch.syspath_prepend(str(folder))
    for name, text in USER.items():
        for old, new in changes:
            text = text.replace(old, new)  # noqa: PLW2901
        (folder / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
    importlib.invalidate_caches()
    return importlib.import_module("agent_code").run


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (("return x\n\ndef later", "return 2 * x\n\ndef later"), False),
        (("x + 1", "x + 2"), False),
        (("json.dumps(x)", "json.dumps([x])"), False),
        (
            ("    def call(self, x):\n        return x", "    def call(self, x):\n        pass"),
            False,
        ),
        (("[check(x) for", "[check(2) for"), False),
        (("unknown(x)", "unknown(x, x)"), False),
        (("nothing of it", ""), True),
    ],
)
def test_the_code_of_user_modules_counts(tmp_path, monkeypatch, change, same):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    before = code_digest(_imported(tmp_path / "a", monkeypatch))
    after = code_digest(_imported(tmp_path / "b", monkeypatch, [change]))
    assert (before == after) == same


def test_functions_without_a_home_and_cells_without_a_value():
    space = {"__name__": None}
    exec("def made(x):\n    return x", space)  # noqa: S102
    space["made"].__module__ = None
    assert code_digest(space["made"])

    def outer():
        def inner():
            return empty

        digest = code_digest(inner)
        empty = 1
        return digest, empty

    assert outer()[0]
