"""Runs memory providers of EvolveLab (MemEvolve, arXiv 2512.18746) as they are: `provide_memory`, `take_in_memory`.

How their world maps on ours:

* Before a task BEGIN is asked for, and IN before each action, with the conversation so far as context; a question is
  asked for by BEGIN alone. What BEGIN gave stays in the recall of the whole task, as it stays in the prompt there; what
  earlier INs gave does not. Items without content are dropped, of API items only the text is shown: nobody calls them.
* As in EvolveLab's runners each task has an instance of its own: made and initialised before it, gone after
  `take_in_memory`. What is to last goes to files below the working directory, ``./storage/...``; they are the snapshot.
* A trajectory is the conversation as messages ``{"role", "content": [{"type": "text", "text": ...}]}``: what the agent
  saw (user) and what it did (assistant). ``is_correct`` and ``task_success`` say whether the whole reward, 1.0, was
  earned, ``reward`` is the number; of a dialogue session, where nothing can fail, they are true, or a provider that
  learns from successes only would never hear of one. The query is the task's goal in both calls.
* ``config["model"]`` is the run's model; `SentenceTransformer` gives the kit's vectors.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any, ClassVar, Literal

from design_space.foreign.adapter import ForeignMemory, first_class, load, read_files, write_files
from design_space.foreign.look_alikes import Members, bound, install
from design_space.foreign.models import ChatModel, SentenceTransformer
from design_space.foreign.tfidf import SKLEARN
from design_space.memory import Episode, Item, Kit, Query, Recall, Snapshot

PACKAGE = "EvolveLab.providers"
SOLVED = 1.0 - 1e-6
"""A reward from which on a task counts as solved: sums of shares fall short of 1 by rounding."""
_TYPES = (
    "AGENT_KB SKILLWEAVER MOBILEE EXPEL LIGHTWEIGHT_MEMORY CEREBRA_FUSION_MEMORY VOYAGER DILU GENERATIVE MEMP"
    " DYNAMIC_CHEATSHEET AGENT_WORKFLOW_MEMORY EVOLVER"
)
_CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "agent_workflow_memory": {
        "store_path": "./storage/agent_workflow_memory/memories.json",
        "embedding_cache_dir": "./storage/models",
        "top_k": 1,
        "enable_induction": True,
    }
}
"""What a provider cannot do without; all others have defaults of their own."""


class MemoryStatus(Enum):
    """When a provider is asked."""

    BEGIN = "begin"
    IN = "in"


class MemoryItemType(Enum):
    """What a provider gives."""

    TEXT = "text"
    API = "api"


class MessageRole(StrEnum):
    """smolagents' roles."""

    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"
    TOOL_CALL = "tool-call"
    TOOL_RESPONSE = "tool-response"


@dataclass
class MemoryRequest:
    """What a provider is asked with."""

    query: str
    context: str
    status: MemoryStatus
    additional_params: dict[str, Any] | None = None


@dataclass
class MemoryItem:
    """One thing that a provider gives."""

    id: str
    content: Any
    metadata: dict[str, Any]
    score: float | None = None
    type: MemoryItemType = MemoryItemType.TEXT


@dataclass
class MemoryResponse:
    """All that a provider gives."""

    memories: list[MemoryItem]
    memory_type: Any
    total_count: int
    request_id: str | None = None


@dataclass
class TrajectoryData:
    """What a provider is told of a task."""

    query: str
    trajectory: list[dict[str, Any]]
    result: Any = None
    metadata: dict[str, Any] | None = None


class BaseMemoryProvider(ABC):
    """EvolveLab's base class of a provider."""

    def __init__(self, memory_type: Any, config: dict[str, Any] | None = None) -> None:
        self.memory_type = memory_type
        self.config = config or {}

    @abstractmethod
    def provide_memory(self, request: MemoryRequest) -> MemoryResponse: ...

    @abstractmethod
    def take_in_memory(self, trajectory_data: TrajectoryData) -> tuple[bool, str]: ...

    @abstractmethod
    def initialize(self) -> bool: ...

    def get_memory_type(self) -> Any:
        return self.memory_type

    def get_config(self) -> dict[str, Any]:
        return self.config


class Tool:
    """FlashOAgents' base class of tools: nobody calls them here."""


class ToolWrapper:
    """Wraps nothing: of an API item only the text is used."""

    def __init__(self, *_: object, **__: object) -> None:
        return

    def wrap_function(self, *_: object, **__: object) -> None:
        return None

    def clear_cache(self) -> None:
        return


def get_memory_config(memory_type: Any) -> dict[str, Any]:
    """A copy of a provider's configuration, without the model."""
    return dict(_CONFIGS.get(str(getattr(memory_type, "value", memory_type)), {}))


def memory_types(source: str) -> Any:
    """EvolveLab's enumeration of providers, with those that a new provider's text names besides."""
    names = dict.fromkeys([*_TYPES.split(), *_named_types(source)])
    # A name that is not literal, or mypy would want to know the members.
    name = "MemoryType"
    return Enum(name, {member: member.lower() for member in names}, module="EvolveLab.memory_types")


def _named_types(source: str) -> list[str]:
    return re.findall(r"\bMemoryType\.([A-Z][A-Z0-9_]*)", source)


def evolvelab_modules(kit: Kit, source: str) -> dict[str, Members]:
    """The modules that EvolveLab's providers import."""
    kinds = (MemoryStatus, MemoryItemType, MemoryRequest, MemoryItem, MemoryResponse, TrajectoryData)
    types = {kind.__name__: kind for kind in kinds}
    sentences = "sentence_transformers"
    return {
        "EvolveLab.base_memory": {"BaseMemoryProvider": BaseMemoryProvider},
        "EvolveLab.memory_types": {**types, "MemoryType": memory_types(source), "PROVIDER_MAPPING": {}},
        "EvolveLab.config": {"get_memory_config": get_memory_config, "DEFAULT_CONFIG": {"providers": {}}},
        PACKAGE: {},
        sentences: {"SentenceTransformer": bound(SentenceTransformer, sentences, kit=kit)},
        "storage.tools.tool_wrapper": {"ToolWrapper": ToolWrapper},
        "FlashOAgents.tools": {"Tool": Tool},
        "smolagents.models": {"MessageRole": MessageRole},
        **SKLEARN,
    }


class EvolveLabMemory(ForeignMemory):
    """See the module. The subclass that holds the text is written by `design_space.foreign.wrap`."""

    RETRIEVE: ClassVar[Literal["task", "step"]] = "step"

    def __init__(self, kit: Kit, **params: Any) -> None:
        super().__init__(kit, **params)
        install(evolvelab_modules(kit, self.SOURCE))
        with self.at_home():
            self._kind = first_class(load(self.SOURCE, self.place, PACKAGE), BaseMemoryProvider)
        self._model = ChatModel(kit)
        self._provider: Any = None
        self._asked = False
        self._begun: tuple[Item, ...] = ()
        self._instance()

    def retrieve(self, query: Query) -> Recall:
        context = _context(query)
        if query.step == 0:
            if self._asked:
                self._forget()
            self._begun = self._ask(query.goal, context, MemoryStatus.BEGIN, 0)
        now = self._ask(query.goal, context, MemoryStatus.IN, query.step + 1) if query.role == "actor" else ()
        return Recall(tuple(dict.fromkeys((*self._begun, *now))))

    def update(self, episode: Episode) -> None:
        provider = self._instance()
        with self.at_home():
            provider.take_in_memory(_trajectory(episode))
        self._forget()

    def snapshot(self) -> Snapshot:
        """The files that the provider wrote: all that outlives a task."""
        files, left_out = read_files(self.place)
        return Snapshot({"class": self._kind.__name__, "files": files, "left_out": left_out})

    def restore(self, snapshot: Snapshot) -> None:
        write_files(self.place, snapshot.data["files"])
        self._forget()

    def _forget(self) -> None:
        """End a task: its instance goes."""
        self._provider, self._asked, self._begun = None, False, ()

    def _instance(self) -> Any:
        """The task's provider, initialised.

        Raises:
            RuntimeError: it says that it could not be.
        """
        if self._provider is None:
            with self.at_home():
                kind: Any = self._kind
                names = _named_types(self.SOURCE)
                config = get_memory_config(names[0].lower() if names else "")
                provider = kind(config={**config, "model": self._model})
                if not provider.initialize():
                    raise RuntimeError(f"{self._kind.__name__}.initialize() returned False")
                self._provider = provider
        return self._provider

    def _ask(self, query: str, context: str, status: MemoryStatus, number: int) -> tuple[Item, ...]:
        provider = self._instance()
        self._asked = True
        with self.at_home():
            response = provider.provide_memory(MemoryRequest(query, context, status, {"step_number": number}))
        memories = getattr(response, "memories", None)
        if not isinstance(memories, Sequence):
            raise TypeError(f"provide_memory() returned a {type(response).__name__}, wanted a MemoryResponse")
        return tuple(_items(memories))


def _items(memories: Sequence[Any]) -> Iterator[Item]:
    for number, memory in enumerate(memories):
        content = getattr(memory, "content", None)
        if content is not None and str(content):
            yield Item(str(getattr(memory, "id", number)), str(content))


def _context(query: Query) -> str:
    """The conversation so far, a ``role: text`` for each message."""
    lines = [f"user: {query.goal}"]
    for action, observation in query.history:
        lines += [f"assistant: {action}", f"user: {observation}"]
    if query.situation:
        lines.append(f"user: {query.situation}")
    return "\n".join(lines)


def _trajectory(episode: Episode) -> TrajectoryData:
    steps = episode.steps
    session = bool(steps) and not any(step.action for step in steps)
    solved = session if episode.reward is None else episode.reward >= SOLVED
    messages = [_message("user", episode.goal)]
    for step in steps:
        if step.situation:
            messages.append(_message("user", step.situation))
        if step.action:
            messages.append(_message("assistant", step.action))
        messages.append(_message("user", step.observation))
    last = steps[-1] if steps else None
    result = None if last is None else last.action if last.action and not last.situation else last.observation
    metadata = {
        "task_id": episode.id,
        "status": "success",
        "is_correct": solved,
        "task_success": solved,
        "full_query": episode.goal,
        "reward": episode.reward,
    }
    return TrajectoryData(episode.goal, messages, result, metadata)


def _message(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": text}]}
