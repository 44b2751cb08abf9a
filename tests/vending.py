"""A machine whose buttons must be learned: a source of tasks for tests, quick and exact."""

from __future__ import annotations

from sandbox.streams.base import Observation, Split, Stream, Task, generator

DRINKS = ("tea", "coffee", "cocoa", "milk")
BUTTONS = tuple(f"press button {i}" for i in range(1, 9))


class Machine:
    """Two tries at the buttons."""

    def __init__(self, wanted: str, button: str) -> None:
        self._wanted = wanted
        self._button = button

    def reset(self) -> Observation:
        return Observation("", "You stand before a machine.", "", BUTTONS)

    def step(self, command: str) -> Observation:
        right = command == self._button
        told = f"A cup of {self._wanted}." if right else "Nothing happens."
        return Observation(told, "You stand before a machine.", "", BUTTONS, float(right), right)

    def close(self) -> None:
        return None


class Vending:
    """Each stream has its own wiring; with `shared` all have the same: drinks in order, from button 1 on."""

    name = "vending"

    def __init__(self, shared: bool = False, tasks_count: int = 24) -> None:
        self._shared = shared
        self._tasks_count = tasks_count

    def stream_name(self, split: Split, seed: int, index: int) -> str:
        return f"vending/{self._shared}/{self._tasks_count}/{split}/{seed}/{index}"

    def stream(self, split: Split, seed: int, index: int) -> Stream:
        name = self.stream_name(split, seed, index)
        rng = generator(name)
        buttons = BUTTONS if self._shared else [str(button) for button in rng.permutation(BUTTONS)]
        wiring = dict(zip(DRINKS, buttons, strict=False))
        wanted = [str(rng.choice(DRINKS)) for _ in range(self._tasks_count)]
        tasks = [
            Task(f"{name}/{i}", f"get a cup of {drink}", 2, {"wanted": drink, "button": wiring[drink]})
            for i, drink in enumerate(wanted)
        ]
        return Stream(name, self.name, split, name, tuple(tasks))

    def environment(self, task: Task) -> Machine:
        return Machine(**task.payload)


WIRING = '''
from design_space import Item, Memory, Recall, Snapshot
class Wiring(Memory):
    """Remembers which button brought which drink."""
    def __init__(self, kit, **params):
        super().__init__(kit, **params)
        self.known = {}
    def retrieve(self, query):
        return Recall(tuple(Item(g, f"{g}: {a}", g, a, 1.0) for g, a in self.known.items() if g == query.goal))
    def update(self, episode):
        for step in episode.steps:
            if step.reward:
                self.known[episode.goal] = step.action
    def snapshot(self):
        return Snapshot(self.known)
    def restore(self, snapshot):
        self.known = snapshot.data
'''
ADVICE = '''
from design_space import Item, Memory, Recall
DRINKS = ("tea", "coffee", "cocoa", "milk")
class Advice(Memory):
    """Knows the shared wiring by heart, and learns nothing."""
    def retrieve(self, query):
        goals = [(f"get a cup of {drink}", f"press button {i}") for i, drink in enumerate(DRINKS, {first})]
        return Recall(tuple(Item(g, g, g, a, 1.0) for g, a in goals if g == query.goal))
    def update(self, episode):
        pass
'''
