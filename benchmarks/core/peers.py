"""The peers' environments: built once, each by itself, outside the project's own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ROOT / ".venv-benchmarks"
PINS = Path(__file__).parent / "pins"
OURS = "trace_bridge"

# What a peer's metadata asks for and nothing here imports is left out of its pins: for trace-opt
# scikit-learn and xgboost, for textgrad datasets, gdown and pandas. That is most of a gigabyte.


def interpreter(side: str) -> Path:
    """The Python of a side, with everything that the side needs installed.

    Raises:
        subprocess.CalledProcessError: if the environment cannot be built.
    """
    if side == OURS:
        return Path(sys.executable)
    folder, wanted = ENVIRONMENTS / side, (PINS / f"{side}.txt").read_text(encoding="utf-8")
    python, stamp = folder / "bin" / "python", folder / "installed.txt"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != _stamp(wanted):
        print(f"building {folder.relative_to(ROOT)}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install = ["-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([python, *install, "-r", str(PINS / f"{side}.txt")], check=True)
        stamp.write_text(_stamp(wanted), encoding="utf-8")
    return python


def _stamp(pins: str) -> str:
    return f"# {sys.version_info.major}.{sys.version_info.minor}\n{pins}"


def surroundings(home: Path) -> Mapping[str, str]:
    """The variables that every process of the benchmark runs with; ``home`` takes their files."""
    mine = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    # the peers were compiled when they were installed; ours, in place, is when it is first imported
    mine.pop("PYTHONDONTWRITEBYTECODE", None)
    return {
        **mine,
        "PYTHONPATH": str(ROOT),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # or litellm asks the network for prices
        "TEXTGRAD_LOG_DIR": str(home / "logs"),
    }


def openinference(side: str, program: str, rounds: int, calls: int) -> dict[str, float]:
    """What OpenInference's instrumentation costs, by what a program of ``benchmarks`` runs.

    The program runs in the environment of ``side``; its last line is the answer, as JSON. Ends this
    process if it fails.
    """
    path = ROOT / "benchmarks" / program
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [interpreter(side), path, str(rounds), str(calls)],
            env=dict(surroundings(Path(home))), capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode:
        sys.exit(f"{side} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])
