"""Designs that attack, break or are merely clumsy, each in every sandbox: contained, and judged for what they did.

Contained means: the outcome that the evidence allows, no secret found or touched, nothing left behind, and a neighbour
who earns what it earns alone, to the last bit.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pytest
from hostile.stage import DESIGNS, Part, Plants, Recorder, Remains, listing, marked, until_none
from scipy import stats
from scripted_models import ScriptedModels, echo

from design_space import Design, Evaluation, Outcome, catalogue
from design_space.validate import validate
from meta_agent.leak import leak_in
from sandbox import bundle
from sandbox.agents.evidence import EvidenceAgent
from sandbox.backend import Backend, Guest, Labels, Limits
from sandbox.broker import Allowance, model_brokers
from sandbox.docker_backend import Client, DockerBackend, connect
from sandbox.embedded_backend import EmbeddedBackend
from sandbox.evaluate import Evaluator, Result, Setting
from sandbox.guest import wire
from sandbox.streams import impossible
from sandbox.streams.base import Source
from sandbox.streams.household import HouseholdSettings, HouseholdSource

LIMITS = Limits(
    call_cpu_seconds=1.0,
    call_wall_seconds=2.0,
    stream_cpu_seconds=2.0,
    stream_wall_seconds=12.0,
    memory_mib=256,
    processes_count=16,
    scratch_mib=4,
    scratch_inodes_count=200,
    open_files_count=64,
    output_kib=64,
    frame_kib=12_288,
)
ALLOWANCE = Allowance(
    calls_per_task=2,
    calls_per_stream=5,
    tokens_per_stream=2_000,
    embed_texts_per_stream=50,
    embed_chars_per_stream=5_000,
)
RECALL_CHARS = 4_000
DETAIL_CHARS = 20_000
WORKER_SECONDS = 2.5
"""Processor time of ours that an evaluation may take: more than ten times what an honest one takes."""
LEFT_SECONDS = 5.0
HOUSE = {"stores_count": 3, "things_count": 2, "plain_probability": 1.0, "stray_probability": 0.0}
SHORT = HouseholdSettings(tasks_count=4, max_steps=10, **HOUSE)  # type: ignore[arg-type]
LONG = HouseholdSettings(tasks_count=30, max_steps=20)
MANY = HouseholdSettings(tasks_count=36, max_steps=1)
NAMES = tuple(sorted(file.stem for file in DESIGNS.glob("*.py")))
CHEATS = frozenset(
    "null_memory constant_cheer always_equal patch_time patch_guest answer_grep preseed_result split_detector"  # noqa: SIM905
    " order_exploit impossible_winner".split()
)
"""Without a way to the answers, they earn what no memory earns."""
BUDGET = frozenset({"llm_flood", "max_tokens_hog", "cache_buster", "embed_flood", "solve_in_memory", "upcall_flood"})
"""They are offered a model and an embedder; all others run key-free."""


def play(
    backend: Backend,
    design: Design,
    guest: Guest,
    settings: HouseholdSettings = SHORT,
    models: bool = False,
    source: Source | None = None,
) -> Played:
    """An evaluation as a run makes it.

    Args:
        models: offer the design a model that is scripted.
        source: of other tasks than those of the household.
    """
    source, scripted = source or HouseholdSource(settings), ScriptedModels(echo)
    setting = Setting("online", "evidence", RECALL_CHARS, 0, LIMITS.digest)
    brokers = model_brokers(scripted, 100, "model", ALLOWANCE) if models else model_brokers(None)
    evaluator = Evaluator(source, EvidenceAgent, backend, setting, brokers)
    stream, began = source.stream("search", 0, 0), time.thread_time()
    result = evaluator.evaluate(design, stream, guest, evaluator.key(design, stream))
    return Played(result, scripted, time.thread_time() - began)


@dataclass(frozen=True)
class Played:
    """Attributes: worker_seconds: processor time of the worker's own."""

    result: Result
    models: ScriptedModels
    worker_seconds: float

    @property
    def evaluation(self) -> Evaluation:
        return self.result.evaluation

    @property
    def earned(self) -> tuple[Outcome, tuple[float, ...], tuple[int, ...]]:
        """What must not depend on the neighbours."""
        return self.evaluation.outcome, self.evaluation.rewards, self.evaluation.steps


@dataclass
class Stage:
    """One backend, with an honest neighbour who has a sandbox there.

    Attributes:
        client: of the Docker daemon, where the backend uses one.
    """

    kind: str
    backend: Backend
    run: str
    client: Client | None
    plants: Plants
    honest: Design = field(default_factory=lambda: catalogue.load("trajectory_retrieval"))

    def open(self, design: Design) -> Guest:
        return self.backend.open(Labels(self.run, design.id))

    @cached_property
    def neighbour(self) -> Guest:
        return self.open(self.honest)

    @cached_property
    def alone(self) -> Played:
        """The neighbour, before anyone else was there."""
        return play(self.backend, self.honest, self.neighbour)

    @cached_property
    def null(self) -> Played:
        """No memory, on the long stream."""
        return self.by_itself("no_memory")

    @cached_property
    def learner(self) -> Played:
        """An honest memory, on the long stream."""
        return self.by_itself("trajectory_retrieval")

    def by_itself(self, name: str) -> Played:
        design = catalogue.load(name)
        with self.open(design) as guest:
            return play(self.backend, design, guest, LONG)

    def beside(self, ended: threading.Event, earned: list[object]) -> None:
        """The neighbour's work, over and over, until `ended`."""
        while not ended.is_set() or not earned:
            earned.append(play(self.backend, self.honest, self.neighbour).earned)
            ended.wait(0.1)

    def close(self) -> None:
        self.neighbour.close()
        self.backend.close()
        if self.client is not None:
            self.client.close()


@pytest.fixture(scope="module")
def plants() -> Iterator[Plants]:
    bundle.ensure()
    with Plants(bundle.cache_folder()).planted() as planted:
        yield planted


@pytest.fixture(scope="module", params=[pytest.param("docker", marks=pytest.mark.docker), "embedded"])
def stage(request: pytest.FixtureRequest, plants: Plants) -> Iterator[Stage]:
    run = f"hostile-{secrets.token_hex(4)}"
    made: Backend
    if request.param == "docker":
        made, client = DockerBackend(LIMITS, run, prestart=0), connect()
    else:
        made, client = EmbeddedBackend(LIMITS, run, prestart=0), None
        if "namespaces" not in made.name:
            made.close()
            pytest.skip(f"this kernel refuses namespaces: {made.caveat}")
    held = bundle.ensure()
    before = [listing(folder) for folder in (held.base, held.guest)]
    stage = Stage(str(request.param), made, run, client, plants)
    yield stage
    stage.close()
    assert [listing(folder) for folder in (held.base, held.guest)] == before, "what sandboxes are made of was changed"


@pytest.mark.parametrize("name", NAMES)
def test_it_is_contained(stage: Stage, name: str) -> None:
    part = Part.read(name)
    design = Design(part.source)
    settings = LONG if name in CHEATS else MANY if name == "memory_growth" else SHORT
    alone = stage.alone.earned
    before, ended, beside = Remains.look(stage.client, stage.run), threading.Event(), list[object]()
    neighbour = threading.Thread(target=stage.beside, args=(ended, beside))
    with Recorder(stage.open(design)) as guest:
        neighbour.start()
        try:
            played = play(stage.backend, design, guest, settings, name in BUDGET)
        finally:
            ended.set()
            neighbour.join()
    left = until_none(lambda: Remains.look(stage.client, stage.run) - before, LEFT_SECONDS)
    evaluation = played.evaluation
    said = bytes(guest.heard) + repr(played.result).encode("utf-8", "replace")

    assert evaluation.outcome in part.expected[stage.kind], evaluation.detail
    assert b"REACHED" not in said, said[said.index(b"REACHED") :][:200]
    assert stage.plants.found_in(said) == []
    assert stage.plants.touched() == []
    assert not left
    assert marked(bundle.cache_folder()) == []
    assert set(beside) == {alone}
    assert played.worker_seconds < WORKER_SECONDS, "it made the worker work"
    assert_within_bounds(played)
    if name in CHEATS:
        low, high = interval(stage.null)
        assert low <= (evaluation.score or 0.0) <= high


def assert_within_bounds(played: Played) -> None:
    """What is told, recalled and asked of models has a measure, whatever the design."""
    evaluation, calls = played.evaluation, played.models.calls
    assert len(evaluation.detail) <= DETAIL_CHARS
    assert evaluation.detail == evaluation.detail.encode("utf-8", "replace").decode(), "it can be printed and stored"
    for attempt in played.result.played:
        items = attempt.episode.recall.items
        assert sum(len(item.text) + len(item.situation) + len(item.action) for item in items) <= RECALL_CHARS
        assert len(items) <= RECALL_CHARS
        assert all(len(item.id) <= wire.ID_CHARS for item in items)
    asked = [call for call in calls if call.role == "memory"]
    embedded = [text for call in calls if call.role == "embedding" and call.scope for text in call.messages]
    assert len(asked) <= ALLOWANCE.calls_per_stream
    assert sum(len(call.messages[0].content.split()) + 5 for call in asked) <= ALLOWANCE.tokens_per_stream
    assert len(embedded) <= ALLOWANCE.embed_texts_per_stream + 1
    assert len(evaluation.rewards) == len(evaluation.steps)


def interval(played: Played) -> tuple[float, float]:
    """Of the mean reward, 95 %, by Student's t over tasks."""
    rewards = np.array(played.evaluation.rewards)
    half = float(stats.t.ppf(0.975, len(rewards) - 1) * rewards.std(ddof=1) / len(rewards) ** 0.5)
    return float(rewards.mean()) - half, float(rewards.mean()) + half


def test_interval_of_no_memory_is_narrow_enough_to_tell_a_memory(stage: Stage) -> None:
    """The control of the cheats: who does learn is outside."""
    assert stage.learner.evaluation.outcome is Outcome.SCORED
    assert (stage.learner.evaluation.score or 0.0) > interval(stage.null)[1]


def test_neighbour_is_honest_and_earns_something(stage: Stage) -> None:
    assert stage.alone.evaluation.outcome is Outcome.SCORED
    assert (stage.alone.evaluation.score or 0.0) > 0.0
    assert stage.alone.worker_seconds < WORKER_SECONDS / 10


def test_who_fails_on_purpose_is_not_tried_again(stage: Stage) -> None:
    design = Design(Part.read("crash_if_losing").source)
    with Recorder(stage.open(design)) as guest:
        played = play(stage.backend, design, guest, LONG)
    rewards = played.evaluation.rewards
    lost = next(place for place, attempt in enumerate((*played.result.played, None)) if attempt is None)
    assert guest.heard.count(b"once more, please") == 1
    assert len(rewards) == LONG.tasks_count
    assert set(rewards[lost:]) == {0.0}


def test_who_foretells_what_is_drawn_at_random_raises_the_leak_alarm(stage: Stage) -> None:
    source = impossible.ImpossibleSource()
    for name, alarm in (("impossible_winner", True), ("null_memory", False)):
        design = Design(Part.read(name).source)
        with stage.open(design) as guest:
            found = leak_in([play(stage.backend, design, guest, source=source).evaluation], impossible.CHANCE)
        assert found.tasks == source.settings.tasks_count
        assert found.alarm is alarm, str(found)


def test_what_the_model_did_for_a_design_is_on_its_bill(stage: Stage) -> None:
    design = Design(Part.read("solve_in_memory").source)
    with stage.open(design) as guest:
        played = play(stage.backend, design, guest, models=True)
    assert played.evaluation.model_calls == SHORT.tasks_count
    assert played.evaluation.model_tokens > 0


@pytest.mark.parametrize("name", catalogue.names())
def test_catalogue_raises_no_alarm(stage: Stage, name: str) -> None:
    design = catalogue.load(name)
    with stage.open(design) as guest:
        played = play(stage.backend, design, guest)
    assert played.evaluation.outcome is Outcome.SCORED, played.evaluation.detail


def test_hunter_finds_what_is_planted_where_nothing_confines_it(plants: Plants) -> None:
    """The control of the secrets: it reads only, as another user, and is given an environment and a descriptor."""
    held = bundle.ensure()
    base, guest = str(held.base), str(held.guest)
    hunt = Part.read("secret_hunter").source + "\nSECONDS = 5.0\nos.write(1, repr(hunt()).encode())\n"
    with plants.open_file() as opened:
        found = subprocess.run(
            [f"{base}/usr/local/bin/python3", "-c", hunt],
            cwd="/",
            env={**bundle.environment(base, guest), "PROVIDER_API_KEY": os.environ["PROVIDER_API_KEY"]},
            pass_fds=(opened.fileno(),),
            user=65534 if os.geteuid() == 0 else None,
            capture_output=True,
            timeout=60.0,
            check=True,
        )
    assert {"environment of the worker", "command line", "open file"} <= set(plants.found_in(found.stdout))


PASSED = frozenset(
    "always_equal cache_buster constant_cheer context_stuff crash_if_losing disk_fill embed_flood empty_items"  # noqa: SIM905
    " endless_message error_in_library fd_hog import_bomb inode_fill lazy_items lone_surrogate many_readings"
    " max_tokens_hog memory_bomb memory_growth null_memory number_as_name order_exploit pattern_bomb regex_bomb"
    " slow_import solve_in_memory spin unicode_soup wide_number wrong_argument wrong_return_type".split()
)
"""What only shows when it runs; all others are refused for what they import, or as no design."""


def test_what_validation_refuses_already() -> None:
    passed = {name for name in NAMES if not validate(Part.read(name).source)}
    assert passed == PASSED
