"""A run that is killed loses only what was in flight, and never exceeds its budget."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUDGET = 150

SCRIPT = """
import json, os, sys, time
import trace_bridge as tb

class Agent(tb.Module):
    def __init__(self):
        self.prompt = tb.node("repeat", trainable=True)
    def forward(self, x):
        return ask(self.prompt, x)

@tb.bundle
def ask(prompt, x):
    with tb.model_call("pretended"):
        os.write(LOG, (json.dumps([prompt, x]) + chr(10)).encode())  # one write: never torn
        time.sleep(0.01)
    return 2 * x if "double" in prompt else x

def metric(example, output):
    return (float(output == example["y"]), "should be doubled")

def model(messages):
    time.sleep(0.05)
    return '<variable name="self_prompt">double it</variable>'

LOG = os.open("asked.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
run = tb.optimize(
    Agent(), [{"x": i, "y": 2 * i} for i in range(90)], metric, optimizer="optoprime", llm=model,
    budget=tb.Budget(evaluations=BUDGET, calls=400), progress=False,
    engine=tb.Engine(concurrency=4, journal="runs.sqlite"),
)
print(json.dumps([run.best.state, run.verdict.p, run.record.evaluations, run.record.usage.calls]))
""".replace("BUDGET", str(BUDGET))


def start(folder):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def finish(folder):
    process = start(folder)
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 0
    return json.loads(output)


def asked(folder):
    path = folder / "asked.jsonl"
    return (
        [tuple(json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []
    )


def finished(folder):
    """How many evaluations the journal holds."""
    connection = sqlite3.connect(folder / "runs.sqlite")
    try:
        return connection.execute("SELECT count(*) FROM evaluations").fetchone()[0]
    except sqlite3.OperationalError:  # killed before the tables were made
        return 0
    finally:
        connection.close()


def kill_at(folder, moment):
    process = start(folder)
    deadline = time.monotonic() + 60
    while process.poll() is None and len(asked(folder)) < moment and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


def check(folder, moments, expected):
    lost = 0
    for moment in moments:
        kill_at(folder, moment)
        lost = len(asked(folder)) - finished(folder)
        assert 0 <= lost <= 4 * len(moments)  # what was in flight, at most `concurrency` a kill
    state, p, evaluations, calls = finish(folder)
    assert [state, p, evaluations] == expected[:3]
    paid = len(asked(folder))
    assert paid == finished(folder) + lost  # no finished evaluation was repeated
    assert calls >= paid  # calls that a kill cut off are counted too
    assert evaluations <= BUDGET


def test_a_killed_run_resumes_where_it_was(tmp_path):
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    check(tmp_path / "killed", [20, 70], finish(tmp_path / "whole"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_fifty_kills_at_random_points(tmp_path):
    (tmp_path / "whole").mkdir()
    expected = finish(tmp_path / "whole")
    generator = random.Random(0)
    for number in range(25):
        folder = tmp_path / str(number)
        folder.mkdir()
        check(folder, sorted(generator.sample(range(expected[2]), 2)), expected)
