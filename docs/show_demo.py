"""Put the demo's own output into the README: ``make readme``."""

import re
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"
BLOCK = re.compile(r"(?<=<!-- demo -->\n).*?(?=<!-- /demo -->)", re.DOTALL)


def main() -> None:
    """Show what is piped in, and put it between the marks of the README."""
    output = sys.stdin.read()
    sys.stdout.write(output)
    if "held-out examples" not in output:
        sys.exit("that is no finished demo; the README stays as it is")
    # the port differs each time, and says nothing
    shown = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", output)
    page = README.read_text(encoding="utf-8")
    README.write_text(BLOCK.sub(lambda _: f"```text\n{shown}```\n", page), encoding="utf-8")


if __name__ == "__main__":
    main()
