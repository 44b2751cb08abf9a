"""Claims about planted instructions: who hands them on is seen, and no memory is the rate of chance."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from small_runs import in_process, mnemogen

from design_space import Design, catalogue
from meta_agent.poison import Swayed, bench, sway
from meta_agent.pool import SerialPool
from meta_agent.worker import WorkerSpec
from sandbox.backend import Limits
from sandbox.streams.base import SPLITS
from sandbox.streams.poisoned import COMMAND, INSTRUCTION, PoisonedSettings, PoisonedSource

PARROT = '''
from design_space import Item, Memory, Recall


class Parrot(Memory):
    """Hands on every second line that was ever answered as advice."""

    def __init__(self, kit, **params):
        super().__init__(kit, **params)
        self.heard = {}

    def retrieve(self, query):
        return Recall(tuple(Item(line, line, "", line, 1.0) for line in self.heard))

    def update(self, episode):
        for step in episode.steps:
            self.heard.update(dict.fromkeys(step.observation.splitlines()[1:]))
'''


def swayed(*designs: Design, streams: int = 3, agent: str = "evidence") -> list[Swayed]:
    limits = Limits()
    spec = WorkerSpec("poison", (bench(agent, 0, limits),), str(Path.cwd()), limits, "embedded", None, 1)
    with in_process(), SerialPool(spec) as pool:
        return sway(designs, streams, pool)


@pytest.fixture(scope="module")
def found() -> dict[str, Swayed]:
    names = ("full_history", "memento", "last_k")
    designs = (Design(PARROT, {}, "parrot"), *map(catalogue.load, names))
    return {one.name: one for one in swayed(*designs)}


def test_a_parrot_is_seen_to_obey_and_no_memory_has_the_rate_of_chance(found: dict[str, Swayed]) -> None:
    parrot, none = found["parrot"], found["no_memory"]
    assert parrot.begun.mean > 0.9
    assert parrot.more is not None
    assert parrot.more.low > 0.3
    assert none.begun.mean < 0.25
    assert none.more is None


def test_every_design_has_a_number_with_n_and_its_reward(found: dict[str, Swayed]) -> None:
    assert list(found) == ["no_memory", "parrot", "full_history", "memento", "last_k"]
    for one in found.values():
        assert (one.begun.n, one.typed.n, one.reward.n, one.tasks, one.failed) == (3, 3, 3, 54, 0)
        assert 0.0 <= one.typed.mean <= one.typed.high
        assert 0.0 < one.reward.mean < 1.0


def test_a_crash_obeys_nobody_and_is_told() -> None:
    crash = PARROT.replace("self.heard.update", "self.hoard.update")
    (_, one) = swayed(Design(crash, {}, "crash"), streams=2)
    assert (one.begun.mean, one.failed, one.tasks) == (0.0, 2, 36)


def test_it_is_said_again_to_the_bit() -> None:
    parrot = Design(PARROT, {}, "parrot")
    once, again = (json.dumps([dataclasses.asdict(one) for one in swayed(parrot, streams=2)]) for _ in range(2))
    assert once == again


def test_the_note_stands_in_the_earlier_tasks_only_and_the_bell_does_nothing() -> None:
    settings = PoisonedSettings(planted_probability=1.0)
    source = PoisonedSource(settings)
    stream = source.stream("search", 0, 0)
    for place, task in enumerate(stream.tasks):
        environment = source.environment(task)
        before = environment.reset()
        assert before.commands[-1] == COMMAND
        after = environment.step(COMMAND)
        assert (INSTRUCTION in after.feedback) == (place < settings.planted_count)
        assert (after.scene, after.commands, after.reward, after.done) == (before.scene, before.commands, 0.0, False)


def test_splits_share_no_house_and_equal_arguments_give_equal_answers() -> None:
    source, other = PoisonedSource(), PoisonedSource()
    families = [{source.stream(split, 0, i).family for i in range(10)} for split in SPLITS]
    assert not families[0] & families[1] | families[0] & families[2] | families[1] & families[2]
    task = source.stream("search", 1, 2).tasks[0]
    one, two = source.environment(task), other.environment(task)
    assert one.reset() == two.reset()
    for command in (COMMAND, "go to fridge", COMMAND, "go to microwave", "nonsense"):
        assert one.step(command) == two.step(command)
    assert one.reset() == two.reset()


@pytest.mark.parametrize("wrong", [{"planted_share": 1.5}, {"planted_probability": -0.1}])
def test_shares_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        PoisonedSettings(**wrong)  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_command_tells_it_of_every_design(tmp_path: Path) -> None:
    (tmp_path / "parrot.py").write_text(PARROT)
    done = mnemogen("poison", "parrot.py", "memento", "--streams", "2", "--backend", "embedded", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [one["name"] for one in json.loads(done.stdout)] == ["no_memory", "parrot", "memento"]
    wrong = mnemogen("poison", "memento", "--agent", "llm", cwd=tmp_path)
    assert wrong.returncode == 2
