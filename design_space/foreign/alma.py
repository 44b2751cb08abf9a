"""Runs memory structures of ALMA (arXiv 2602.07755) as they are: `general_retrieve` and `general_update`.

How their world maps on ours:

* A recorder's ``init`` is ``{"obs", "goal", "actions_list"}``, so that designs for TextWorld and for ALFWorld find what
  they look for. ``obs`` is what is before the agent at first, with the line "Your task is to: ..." that ALFWorld ends
  it by; the bare goal where nothing is before it (a question). ``actions_list`` is empty: no memory is told here what
  is on offer. Fields of MiniHack are not there.
* Its ``steps`` are ``{"action_took", "obs", "scores", "dones", "actions_list"}``: the answer of the environment with
  what the agent sees next, the score so far, and whether it was the last. Recorders are made anew for each call, so a
  design cannot change what another call sees.
* A dialogue session has an empty ``action_took`` in every step, and the reward 1.0: there is nothing to fail at, and
  designs treat what earned less as a mistake. A reward that the protocol does not show is 0.0, ALMA's default.
* ALMA puts what `general_retrieve` returns into the prompt as one JSON text. Here each leaf of it becomes one item, so
  that a cap on the recall cuts off leaves and not everything: a text under a line that names its place, as
  ``tips[0]:``, any other value on one line with its place; nothing for nulls and empty texts.
* One instance lives through a stream. Async methods run on one event loop of the process.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from design_space.foreign.adapter import (
    STORED_BYTES,
    ForeignMemory,
    first_class,
    load,
    read_files,
    write_files,
)
from design_space.foreign.chroma import Chroma, Document
from design_space.foreign.look_alikes import Members, bound, install
from design_space.foreign.models import Agent, Embedding
from design_space.foreign.state import NotTold
from design_space.foreign.state import dump as dump_state
from design_space.foreign.state import load as load_state
from design_space.foreign.tfidf import SKLEARN
from design_space.memory import Episode, Item, Kit, Query, Recall, Snapshot, Step


@dataclass
class Basic_Recorder:  # noqa: N801 - ALMA's own name
    """What a design is told of one task."""

    init: dict[str, Any] = field(default_factory=dict)
    steps: list[dict[str, Any]] = field(default_factory=list)
    reward: float = 0.0
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)
    memory_retrieved: Any = field(default_factory=dict)


@dataclass
class Sub_memo_layer(ABC):  # noqa: N801 - ALMA's own name
    """ALMA's base class of a layer."""

    layer_intro: str = ""
    database: Any | None = None

    @abstractmethod
    async def retrieve(self, **kwargs: Any) -> Any: ...

    @abstractmethod
    async def update(self, **kwargs: Any) -> Any: ...


class MemoStructure(ABC):
    """ALMA's base class of a design."""

    def __init__(self) -> None:
        self.database: Any | None = None

    @abstractmethod
    async def general_retrieve(self, recorder: Basic_Recorder) -> Any: ...

    @abstractmethod
    async def general_update(self, recorder: Basic_Recorder) -> None: ...


def alma_modules(kit: Kit) -> dict[str, Members]:
    """The modules that ALMA's designs import."""
    hired = "utils.hire_agent"
    documents = {"Document": Document}
    return {
        "agents.memo_structure": {"MemoStructure": MemoStructure, "Sub_memo_layer": Sub_memo_layer},
        "eval_envs.base_envs": {"Basic_Recorder": Basic_Recorder},
        hired: {name.__name__: bound(name, hired, kit=kit) for name in (Agent, Embedding)},
        "langchain_chroma": {"Chroma": bound(Chroma, "langchain_chroma", kit=kit)},
        "langchain_core.documents": documents,
        "langchain.schema": documents,
        "langchain.docstore.document": documents,
        **SKLEARN,
    }


class AlmaMemory(ForeignMemory):
    """See the module. The subclass that holds the text is written by `design_space.foreign.wrap`."""

    def __init__(self, kit: Kit, **params: Any) -> None:
        super().__init__(kit, **params)
        install(alma_modules(kit))
        self._loop = asyncio.new_event_loop()
        weakref.finalize(self, self._loop.close)
        with self.at_home():
            self._kind = first_class(load(self.SOURCE, self.place), MemoStructure)
        self._design = self._made()
        self._told: list[Episode] = []
        self._retrieved: Any = {}

    def retrieve(self, query: Query) -> Recall:
        recorder = Basic_Recorder(_init(query.goal, query.situation))
        found = self._run("general_retrieve", recorder)
        try:
            self._retrieved = json.loads(json.dumps(found))
        except (TypeError, ValueError) as error:
            text = f"general_retrieve() returned a {type(found).__name__} that is no JSON: {error}"
            raise TypeError(text) from error
        return Recall(tuple(_items(self._retrieved)))

    def update(self, episode: Episode) -> None:
        recorder = _recorder(episode)
        recorder.memory_retrieved, self._retrieved = self._retrieved, {}
        self._told.append(episode)
        self._run("general_update", recorder)

    def snapshot(self) -> Snapshot:
        """The instance, pickled, and the files that it wrote; or, where it cannot be pickled, all that it was told.

        ``data["why"]`` says which it is; an array ``state`` holds the bytes of the instance.
        """
        told, why, state = None, "", b""
        try:
            state = dump_state(self._design)
        except NotTold as error:
            why = f"what it stores cannot be written down ({error}); here is what it was told instead"
            told = [_told(episode) for episode in self._told]
        size = len(state) if told is None else len(json.dumps(told))
        if size > STORED_BYTES:
            why = f"what it stores has {size:,} bytes, more than the {STORED_BYTES:,} that a snapshot holds"
            told, state, size = None, b"", 0
        files, left_out = read_files(self.place, STORED_BYTES - size)
        data = {"class": self._kind.__name__, "files": files, "left_out": left_out, "told": told, "why": why}
        return Snapshot(data, {"state": np.frombuffer(state, dtype=np.uint8)} if state else {})

    def restore(self, snapshot: Snapshot) -> None:
        """Raises ValueError where the snapshot holds neither a state nor what the design was told."""
        write_files(self.place, snapshot.data["files"])
        self._told, self._retrieved = [], {}
        if "state" in snapshot.arrays:
            with self.at_home():
                self._design = load_state(np.asarray(snapshot.arrays["state"], dtype=np.uint8).tobytes())
        elif snapshot.data["told"] is None:
            raise ValueError(f"the snapshot holds no state: {snapshot.data['why']}")
        else:
            self._design = self._made()
            for told in snapshot.data["told"]:
                self.update(_heard(told))

    def _made(self) -> Any:
        with self.at_home():
            return self._kind()

    def _run(self, name: str, recorder: Basic_Recorder) -> Any:
        with self.at_home():
            return self._loop.run_until_complete(_awaited(getattr(self._design, name), recorder))


async def _awaited(method: Any, recorder: Basic_Recorder) -> Any:
    result = method(recorder)
    return await result if inspect.isawaitable(result) else result


def _init(goal: str, situation: str) -> dict[str, Any]:
    obs = f"{situation}\n\nYour task is to: {goal}" if situation else goal
    return {"obs": obs, "goal": goal, "actions_list": []}


def _recorder(episode: Episode) -> Basic_Recorder:
    steps = episode.steps
    session = bool(steps) and not any(step.action for step in steps)
    reward = episode.reward if episode.reward is not None else float(session)
    return Basic_Recorder(_init(episode.goal, steps[0].situation if steps else ""), _steps(steps), float(reward))


def _steps(steps: Sequence[Step]) -> list[dict[str, Any]]:
    score, rows = 0.0, []
    for number, step in enumerate(steps):
        after = steps[number + 1].situation if number + 1 < len(steps) else ""
        score += step.reward or 0.0
        seen = "\n".join(part for part in (step.observation, after) if part)
        row = {"action_took": step.action, "obs": seen, "scores": score, "dones": number + 1 == len(steps)}
        rows.append({**row, "actions_list": []})
    return rows


def _items(value: Any, place: str = "") -> Iterator[Item]:
    """One item for each leaf of a JSON value, in its order; the place of a leaf names it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _items(inner, f"{place}.{key}" if place else key)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _items(inner, f"{place}[{number}]")
    elif isinstance(value, str):
        if value:
            yield Item(place, f"{place}:\n{value}" if place else value)
    elif value is not None:
        yield Item(place, f"{place}: {json.dumps(value)}" if place else json.dumps(value))


def _told(episode: Episode) -> dict[str, Any]:
    steps = [[step.situation, step.action, step.observation, step.reward] for step in episode.steps]
    return {"id": episode.id, "goal": episode.goal, "reward": episode.reward, "steps": steps}


def _heard(told: dict[str, Any]) -> Episode:
    steps = tuple(Step(*row) for row in told["steps"])
    return Episode(told["id"], told["goal"], steps, told["reward"])
