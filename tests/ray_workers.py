"""Jobs for real workers under Ray, what they must come to, and the processes that do them."""

from __future__ import annotations

from pathlib import Path

from design_space import catalogue
from meta_agent.worker import Done, Job

NAMES = ("no_memory", "exprag", "memento", "memory_r1", "arcmemo", "reme")


def jobs() -> list[Job]:
    return [Job(number, catalogue.load(name), "search", (0, 1)) for number, name in enumerate(NAMES)]


def rewards(results: list[Done]) -> dict[int, list[tuple[float, ...]]]:
    """By job; a job that was done twice must say the same."""
    told: dict[int, list[tuple[float, ...]]] = {}
    for done in results:
        mine = [evaluation.rewards for evaluation, _ in done.results]
        assert told.setdefault(done.number, mine) == mine
    return told


def workers_of(pid: int) -> list[int]:
    """Descendants of a process that are workers of Ray with one of our actors in them."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it ended meanwhile
    found = []
    for child in parents:
        line, ancestor = [child], child
        while ancestor in parents and ancestor != pid:
            ancestor = parents[ancestor]
            line.append(ancestor)
        if ancestor == pid and b"ray::Worker" in _command(child):
            found.append(child)
    return found


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
