"""Fails unless at least one Docker test ran: `python tests/docker_ran.py RESULTS.xml`, JUnit's format."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree


def docker_tests(results: Path) -> tuple[int, int]:
    """How many Docker tests ran, and how many were skipped."""
    cases = [
        case
        for case in ElementTree.parse(results).iter("testcase")
        if any(p.get("name") == "docker" for p in case.iter("property"))
    ]
    skipped = sum(case.find("skipped") is not None for case in cases)
    return len(cases) - skipped, skipped


def main() -> int:
    ran, skipped = docker_tests(Path(sys.argv[1]))
    sys.stdout.write(f"Docker tests: {ran} ran, {skipped} skipped\n")
    if ran == 0:
        sys.stderr.write("every Docker test was skipped: this run shows nothing of the Docker sandbox\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
