"""Claims about every design of the catalogue, put through the same host that serves it in a sandbox."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from design_space import Choice, Design, Episode, Item, Query, Recall, Snapshot, Space, Step, catalogue
from design_space.space import Parameter, Value
from design_space.validate import class_name, space_of, validate
from sandbox.guest import wire
from sandbox.guest.frames import HEADER, decode, encode
from sandbox.guest.host import MemoryHost

GOAL = "bring the mug to the desk\nthe mug must be clean"
CHARS = 1_000_000  # of recall
QUERY = Query(GOAL, "You are at shelf.\nYou see mug.\ncarrying nothing")
SOUP = "naïve ☃ 任務 \u202e\x00\ud800 {x} {} \\ \u2028 '\"%s"


class Host:
    """A live memory behind the pipe's own encoding: whatever passes is JSON within the limits of a frame."""

    def __init__(self, design: Design, folder: Path, seed: int = 3) -> None:
        self._host = MemoryHost(lambda operation, argument: pytest.fail(f"asked a model: {operation}"), 1 << 24)
        arg = {"source": design.source, "params": dict(design.params), "seed": seed, "folder": str(folder)}
        arg |= {"recall_chars": CHARS, "calls": 0, "tokens": 0, "embedder": "hashed", "dimensions": 0}
        self.told = self._ask("open", arg)
        self._recalls = 0
        self._reader = wire.RecallReader(CHARS)

    def _ask(self, op: str, arg: Any) -> Any:
        request = decode(encode({"id": 1, "op": op, "arg": arg}, 1 << 24)[HEADER.size :])
        answer = decode(encode(self._host.answer(request), 1 << 24)[HEADER.size :])
        assert "ok" in answer, answer["error"]["traceback"]
        return answer["ok"]

    def retrieve(self, query: Query) -> Recall:
        self._recalls += 1
        return self._reader.read(self._ask("retrieve", wire.query_to_json(query)))

    def update(self, episode: Episode) -> None:
        """Play an episode: as in an evaluation, the memory is asked before, and each step names what it recalled."""
        shown = len(self.retrieve(QUERY).items)
        last = (self._recalls - 1, shown)
        self._ask("update", wire.episode_to_json(episode, [last] * len(episode.steps), last))
        self._recalls = 0

    def snapshot(self) -> Snapshot:
        return wire.snapshot_from_json(self._ask("snapshot", None))

    def restore(self, snapshot: Snapshot) -> None:
        self._ask("restore", wire.snapshot_to_json(snapshot))


def episode(number: int, thing: str = "mug", reward: float | None = 1.0, steps_rewarded: bool = True) -> Episode:
    """A short household task that ends with `reward`."""
    goal = f"bring the {thing} to the desk\nthe {thing} must be clean"
    walk = (
        ("You are at table.\ncarrying nothing", "go to shelf", f"You arrive at shelf. You see {thing}."),
        (
            f"You are at shelf.\nYou see {thing}.\ncarrying nothing",
            f"take {thing} from shelf",
            f"You take the {thing}.",
        ),
        (f"You are at desk.\ncarrying {thing}", f"put {thing} on desk", f"You put the {thing} on desk."),
    )
    earned = [0.0, 0.0, reward if steps_rewarded else None]
    steps = tuple(Step(s, a, o, r) for (s, a, o), r in zip(walk, earned, strict=True))
    return Episode(f"e{number}", goal, steps, reward)


def dialogue(number: int, *lines: str) -> Episode:
    return Episode(f"d{number}", "a conversation", tuple(Step("", "", line) for line in lines), None)


def lesson(host: Host) -> None:
    """What a design may meet in a short life."""
    host.update(episode(1))
    host.update(episode(2, "towel", 0.0))
    host.update(episode(3, "vase", 1 / 3))
    host.update(dialogue(4, "Ann: I live in Ulm.", "Ann's job is to bring the mug to the desk."))
    host.update(Episode("5", GOAL, (), 0.0))
    host.update(episode(6, "mug", None, steps_rewarded=False))
    host.update(episode(1))


@pytest.fixture(params=catalogue.names())
def design(request: pytest.FixtureRequest) -> Design:
    return catalogue.load(str(request.param))


def corners(design: Design) -> list[dict[str, Value]]:
    """Parameters all at one end of their ranges, and all at the other."""
    space = space_of(design.source) or Space()

    def ends(parameter: Parameter) -> tuple[Value, Value]:
        if isinstance(parameter, Choice):
            return parameter.options[0], parameter.options[-1]
        return parameter.low, parameter.high

    both = {name: ends(parameter) for name, parameter in space.items()}
    return [{name: pair[i] for name, pair in both.items()} for i in (0, 1)]


def test_every_file_is_listed_and_the_controls_are_among_them() -> None:
    files = {file.stem for file in Path(catalogue.__file__).parent.glob("*.py")} - {"__init__"}
    assert set(catalogue.names()) == files
    assert len(files) >= 12
    assert set(catalogue.CONTROLS) <= files


def test_unknown_name_tells_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"nearest is 'memento'"):
        catalogue.load("mementos")
    with pytest.raises(ValueError, match=r"no design '\.\./validate'"):
        catalogue.load("../validate")


def test_loading_imports_no_design() -> None:
    code = (
        "import sys; from design_space import catalogue as c; [c.load(n) for n in c.names()];"
        "print([m for m in sys.modules if m.startswith('design_space.catalogue.')])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(catalogue.__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.stdout.strip() == "[]", ran.stderr


def test_validates_without_a_problem(design: Design) -> None:
    assert validate(design.source) == ()


def test_static_reading_agrees_with_the_live_class(design: Design, tmp_path: Path) -> None:
    host = Host(design, tmp_path)
    memory = host._host.memory
    assert class_name(design.source) == host.told["name"]
    assert dict(space_of(design.source) or {}) == dict(memory.SPACE)


def test_docstring_names_its_paper(design: Design) -> None:
    opening = design.source.split('"""')[1]
    assert "arXiv" in opening or "no paper" in opening


def test_an_empty_memory_recalls_nothing(design: Design, tmp_path: Path) -> None:
    assert Host(design, tmp_path).retrieve(QUERY) == Recall()
    assert Host(design, tmp_path).retrieve(Query("")) == Recall()


def test_what_is_stored_comes_back(design: Design, tmp_path: Path) -> None:
    """A design that does nothing is told from the others."""
    host = Host(design, tmp_path)
    lesson(host)
    items = host.retrieve(QUERY).items
    if design.name == "no_memory":
        assert items == ()
        assert host.snapshot().data is None
        return
    assert items
    assert len({item.id for item in items}) == len(items)
    told = " ".join(item.text for item in items)
    assert "mug" in told or "{x}" in told  # an abstract lesson names no thing
    assert all(item.value is None or 0.0 <= item.value <= 1.0 for item in items)


def test_a_success_is_recalled_for_the_same_task(design: Design, tmp_path: Path) -> None:
    host = Host(design, tmp_path)
    host.update(episode(1, reward=0.0))
    host.update(episode(2))
    recalled = " ".join(f"{item.action} {item.text}" for item in host.retrieve(QUERY).items)
    said = "put {x}" if design.name == "arcmemo" else "put mug on desk"
    assert (said in recalled) == (design.name != "no_memory")


def test_within_a_task_it_may_be_asked_again(design: Design, tmp_path: Path) -> None:
    host = Host(design, tmp_path)
    lesson(host)
    history = (("go to shelf", "You arrive at shelf."), ("take mug from shelf", "You take the mug."))
    recall = host.retrieve(Query(GOAL, "You are at shelf.\ncarrying mug", 2, history))
    assert recall.items or design.name == "no_memory"
    host.update(episode(9))


@pytest.mark.parametrize("corner", [None, 0, 1])
def test_restored_from_its_snapshot_it_recalls_the_same(design: Design, corner: int | None, tmp_path: Path) -> None:
    params = {} if corner is None else corners(design)[corner]
    chosen = Design(design.source, params, design.name)
    host, other = Host(chosen, tmp_path), Host(chosen, tmp_path, seed=99)
    lesson(host)
    snapshot = host.snapshot()
    other.restore(snapshot)
    assert wire.snapshot_to_json(other.snapshot()) == wire.snapshot_to_json(snapshot)
    for query in (QUERY, Query("bring the vase to the desk"), Query(SOUP.replace("\ud800", ""))):
        assert other.retrieve(query) == host.retrieve(query)


FREE_FORM = ("random_recall", "last_k", "full_history", "trajectory_retrieval", "mia", "memory_r1")


@pytest.mark.parametrize("name", FREE_FORM)
def test_restored_it_also_learns_the_same(name: str, tmp_path: Path) -> None:
    """Snapshots of the free-form designs are exact: nothing that matters later stays behind."""
    host, other = Host(catalogue.load(name), tmp_path), Host(catalogue.load(name), tmp_path, seed=99)
    lesson(host)
    other.restore(host.snapshot())
    for memory in (host, other):
        memory.update(episode(7, "sock"))
        memory.update(episode(8, "mug", 0.5))
    assert other.retrieve(QUERY) == host.retrieve(QUERY)
    assert wire.snapshot_to_json(other.snapshot()) == wire.snapshot_to_json(host.snapshot())


def test_equal_seeds_give_equal_recalls(design: Design, tmp_path: Path) -> None:
    def life() -> list[Recall]:
        host = Host(design, tmp_path, seed=5)
        recalls = []
        for number in range(12):
            host.update(episode(number, ("mug", "sock", "vase")[number % 3], (number % 4) / 3))
            recalls.append(host.retrieve(QUERY))
        return recalls

    assert life() == life()


def test_any_text_is_taken(design: Design, tmp_path: Path) -> None:
    host = Host(design, tmp_path)
    for goal in (SOUP, "", "   \n\n", "x" * 20_000):
        step = Step(goal, goal or "wait", goal, 0.5, Recall((Item("m1", goal),)))
        host.update(Episode(goal, goal, (step, Step("", "", goal)), 0.7))
        host.retrieve(Query(goal, goal, 1, ((goal, goal),)))
    assert host.retrieve(QUERY) is not None


def test_the_ends_of_every_range_work(design: Design, tmp_path: Path) -> None:
    for params in corners(design):
        host = Host(Design(design.source, params, design.name), tmp_path)
        lesson(host)
        host.retrieve(QUERY)


def test_random_recall_follows_the_seed_and_the_count(tmp_path: Path) -> None:
    source = catalogue.load("random_recall").source

    def drawn(seed: int, unit: str) -> list[str]:
        host = Host(Design(source, {"recall_count": 3, "unit": unit}), tmp_path, seed)
        for number in range(10):
            host.update(episode(number))
        return [item.id for item in host.retrieve(QUERY).items]

    for unit in ("trajectory", "step"):
        draws = {tuple(drawn(seed, unit)) for seed in range(6)}
        assert len(draws) > 1
        assert all(len(set(draw)) == 3 for draw in draws)


def test_last_k_shows_the_latest_first(tmp_path: Path) -> None:
    host = Host(Design(catalogue.load("last_k").source, {"k": 2}), tmp_path)
    for number, thing in enumerate(("mug", "sock", "vase", "vase")):
        host.update(episode(number, thing))
    assert [item.text.splitlines()[0] for item in host.retrieve(QUERY).items] == [
        "Task: bring the vase to the desk"
    ] * 2


def test_trajectory_retrieval_replaces_what_began_alike(tmp_path: Path) -> None:
    host = Host(catalogue.load("trajectory_retrieval"), tmp_path)
    host.update(episode(1, reward=0.0))
    host.update(episode(2, reward=1.0))
    assert [item.value for item in host.retrieve(QUERY).items] == [1.0]


def test_memrl_prefers_what_was_rewarded(tmp_path: Path) -> None:
    """Two attempts at one task: equally similar, so the values decide."""
    host = Host(Design(catalogue.load("memrl").source, {"recall_count": 2}), tmp_path)
    host.update(Episode("1", GOAL, (Step("", "go to sink", "Nothing."),), 0.0))
    host.update(Episode("2", GOAL, (Step("", "go to bath", "Good."),), 1.0))
    first, second = host.retrieve(QUERY).items
    assert "go to bath" in first.text
    assert first.value is not None
    assert second.value is not None
    assert first.value > second.value


def test_mia_balances_solved_and_unsolved(tmp_path: Path) -> None:
    host = Host(catalogue.load("mia"), tmp_path)
    for number, thing in enumerate(("mug", "sock", "vase", "towel", "bowl", "plate")):
        host.update(episode(number, thing, 1.0 if number % 2 else 0.0))
    texts = [item.text for item in host.retrieve(QUERY).items]
    assert [text.partition(":")[0] for text in texts] == ["Solved"] * 2 + ["Not solved"] * 2


def test_mia_keeps_the_solved_one_of_two_attempts(tmp_path: Path) -> None:
    host = Host(catalogue.load("mia"), tmp_path)
    host.update(episode(1, reward=0.0))
    host.update(episode(2, reward=1.0))
    host.update(episode(3, reward=0.0))
    assert [item.value for item in host.retrieve(QUERY).items] == [1.0]


def test_reme_forgets_what_never_helps(tmp_path: Path) -> None:
    params: dict[str, Value] = {"least_uses": 2, "period": 1, "threshold": 0.5, "prior": 0.2}
    host = Host(Design(catalogue.load("reme").source, params), tmp_path)
    host.update(episode(1, reward=0.2))
    assert host.retrieve(QUERY).items
    for number in range(6):
        host.update(episode(number, reward=0.0))
    assert not host.retrieve(QUERY).items


def test_superlocalmemory_forgets_what_is_not_used(tmp_path: Path) -> None:
    source = catalogue.load("superlocalmemory").source
    params: dict[str, Value] = {"span": 2.0, "use_gain": 0.0, "importance_gain": 0.0, "recall_count": 1}
    host = Host(Design(source, params), tmp_path)
    host.update(episode(0, "vase"))
    for number in range(1, 9):
        host.update(episode(number, "mug"))
    recalled = host.retrieve(Query("bring the vase to the desk\nthe vase must be clean")).items
    assert recalled
    assert "vase" not in recalled[0].text


class TestMemoryR1:
    def facts(self, host: Host) -> dict[tuple[str, str], str]:
        return {(f["entity"], f["attribute"]): f["value"] for f in host.snapshot().data["facts"]}

    def test_adds_updates_deletes(self, tmp_path: Path) -> None:
        host = Host(catalogue.load("memory_r1"), tmp_path)
        host.update(dialogue(1, "Ann: My favourite colour is green. I live in Ulm.", "Bob: I have a dog."))
        assert self.facts(host)["bob", "have"] == "a dog"
        assert self.facts(host)["ann", "favourite colour"] == "green"
        host.update(dialogue(2, "Ann: My favourite colour is blue now."))
        assert self.facts(host)["ann", "favourite colour"] == "blue now"
        host.update(dialogue(3, "Bob: I no longer have a dog."))
        assert ("bob", "have") not in self.facts(host)

    def test_does_nothing_for_what_it_knows(self, tmp_path: Path) -> None:
        host = Host(catalogue.load("memory_r1"), tmp_path)
        host.update(dialogue(1, "The museum of natural history opens at nine on every single working day"))
        before = self.facts(host)
        host.update(dialogue(2, "The museum of natural history opens at nine on every single working day!"))
        assert self.facts(host) == before

    def test_learns_where_things_are_and_unlearns_it(self, tmp_path: Path) -> None:
        host = Host(catalogue.load("memory_r1"), tmp_path)
        seen = (Step("You are at table.", "go to shelf", "", 0.0), Step("You see mug.", "take mug from shelf", "", 0.5))
        host.update(Episode("1", GOAL, seen, 0.5))
        assert self.facts(host)["mug", "seen"] == "go to shelf"
        assert self.facts(host)["mug", "take"] == "take mug from shelf"
        host.update(Episode("2", GOAL, (Step("You are at table.", "go to shelf", "Nothing here.", 0.0),), 0.0))
        assert ("mug", "seen") not in self.facts(host)
