"""What went wrong in earlier systems goes right here: a test a mistake, or the beginning of the name of one elsewhere.

| mistake | test |
|---|---|
| ALMA: repeats share one store, so a trajectory leaks from repeat to repeat | test_backends: test_each_start_is_fresh |
| ALMA: designs see other episodes | test_backends: test_memory_of_a_process_holds_nothing_of_the_one_before |
| ALMA: the key is mounted into the container | test_containment: test_planted_secrets_are_not_found |
| ALMA: the container has an open network and no limits | test_containment: test_every_probe_is_refused |
| ALMA: a fresh run crashes | test_driver: test_a_run_leaves_designs_with_lineage_scores_and_a_measured_winner |
| ALMA: resume crashes, loses the last step | test_driver: test_kill_9_at_random_instants_loses_and_repeats_nothing |
| ALMA: results carry no split | test_ledger: test_evaluations_are_found_by_design_purpose_and_split |
| ALMA: the meta agent's tokens are not counted | test_report: test_the_page_says_what_each_model_cost_in_each_role |
| ALMA: the winner's score is luck | test_statistics: test_posterior_takes_the_luck_out_of_the_winner |
| ALMA: the third repair is never tested | test_llm_proposer: test_the_last_repair_is_checked_too |
| ALMA: a provider's error is a broken design | test_broker: test_a_fault_of_the_models_stops_the_run |
| EvolveLab: the repair agent's fixes are discarded | test_llm_proposer: test_what_the_checks_find_is_told_and_mended |
| EvolveLab: later rounds start from the seed | test_search: test_the_search_climbs_and_every_child_names_its_parent |
| EvolveLab: resume miscounts | test_driver: test_doing_it_again_costs_nothing_and_says_the_same |
| EvolveLab: baselines never store anything | test_contract: test_only_the_memory_that_is_none_is_flagged |
| EvolveLab: designs run beside the keys | test_containment: test_planted_secrets_are_not_found |
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from llm_answers import NOTEBOOK, PLAN, written
from scripted_models import ScriptedModels
from small_runs import PROJECT

from archive.card import Card
from archive.ledger import Ledger
from archive.records import Purpose
from archive.repository import Repository
from archive.selection import NAMES, Candidates, make
from design_space import Design, DesignId, Evaluation, EvaluationKey, Outcome, catalogue
from meta_agent.llm import LLMProposer
from meta_agent.search import Search
from sandbox.agents.evidence import EvidenceAgent
from sandbox.backend import Labels, Limits
from sandbox.calls import Call, Reply
from sandbox.embedded_backend import EmbeddedBackend
from sandbox.evaluate import Evaluator, Result, Setting
from sandbox.streams.household import HouseholdSettings, HouseholdSource

SIGNED = """
from design_space import Item, Memory, Recall
class Signed(Memory):
    def retrieve(self, query):
        return Recall((Item("who", "this is design {number}"),))
    def update(self, episode):
        return
"""
GREEDY = """
import gc
import design_space
from design_space import Episode, Memory, Recall, Step
class Greedy(Memory):
    def __init__(self, kit, **params):
        super().__init__(kit, **params)
        self.kept = []
    def retrieve(self, query):
        for episode in self.kept:
            object.__setattr__(episode, "reward", 1.0)
        return Recall()
    def update(self, episode):
        self.kept += [episode, *episode.steps]
        for one in self.kept:
            object.__setattr__(one, "reward", 1.0)
        for kind in (Episode, Step):
            kind.__getattribute__ = lambda self, name: 1.0 if name == "reward" else object.__getattribute__(self, name)
        for one in gc.get_objects():
            if type(one) is dict and "reward" in one:
                one["reward"] = 1.0
"""


@pytest.fixture(scope="module")
def backend() -> Iterator[EmbeddedBackend]:
    backend = EmbeddedBackend(Limits(), "peers")
    yield backend
    backend.close()


def evaluate(backend: EmbeddedBackend, design: Design) -> Result:
    source = HouseholdSource(HouseholdSettings(tasks_count=4, max_steps=6))
    evaluator = Evaluator(source, EvidenceAgent, backend, Setting("online", "evidence", 1_000, 0, "test"))
    stream = source.stream("search", 0, 0)
    with backend.open(Labels("peers", design.id)) as guest:
        return evaluator.evaluate(design, stream, guest, evaluator.key(design, stream))


def test_designs_that_are_evaluated_at_once_are_scored_with_their_own_code(backend: EmbeddedBackend) -> None:
    """ALMA: all containers copy their design into one shared folder, so one is scored with another's code."""
    designs = [Design(SIGNED.format(number=number)) for number in range(6)]
    with ThreadPoolExecutor(3) as threads:
        results = list(threads.map(lambda design: evaluate(backend, design), designs))
    for number, (design, result) in enumerate(zip(designs, results, strict=True)):
        assert result.evaluation.key.design == design.id
        said = {item.text for played in result.played for item in played.episode.recall.items}
        assert said == {f"this is design {number}"}


def test_a_design_that_sets_its_reward_earns_what_no_memory_earns(backend: EmbeddedBackend) -> None:
    """ALMA: two lines that replace the reward's setter score 1.0, and recorders are handed out as live objects."""
    greedy, none = evaluate(backend, Design(GREEDY)), evaluate(backend, catalogue.load("no_memory"))
    assert greedy.evaluation.outcome is Outcome.SCORED, greedy.evaluation.detail
    assert greedy.evaluation.rewards == none.evaluation.rewards
    assert [played.episode for played in greedy.played] == [played.episode for played in none.played]
    assert max(none.evaluation.rewards) < 1.0 or len(set(none.evaluation.rewards)) > 1


@pytest.mark.parametrize("name", NAMES)
def test_choosing_parents_leaves_the_global_generators_alone(name: str) -> None:
    """ALMA: selection seeds the global generator anew at every call."""
    zeros = np.zeros(3, dtype=np.int64)
    candidates = Candidates(tuple(map(DesignId, "abc")), np.array([0.28, 0.29, 0.3]), np.full(3, 0.1), zeros, zeros)
    before = random.getstate(), np.random.get_state()[1].tolist()
    rng = np.random.default_rng(0)
    chosen = [make(name).choose(candidates, 1, rng)[0].index for _ in range(60)]
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before
    if name != "greedy":
        assert len(set(chosen)) > 1, "each call goes on where the one before has ended"


def test_a_design_is_checked_where_there_is_no_terminal(tmp_path: Path) -> None:
    """ALMA: `docker run -it` fails wherever there is no terminal."""
    (tmp_path / "notebook.py").write_text(NOTEBOOK)
    done = subprocess.run(
        [sys.executable, "-m", "meta_agent.cli", "check", "notebook.py", "--backend", "embedded"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        start_new_session=True,
        env={name: value for name, value in os.environ.items() if name != "TERM"} | {"PYTHONPATH": str(PROJECT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "it holds its contract" in done.stderr


def model_written(tmp_path: Path, source: str) -> tuple[Search, ScriptedModels]:
    """A search whose second generation is one design that a model wrote."""

    def answer(call: Call) -> Reply:
        plan = len(call.messages) == 2
        return Reply(json.dumps(PLAN if plan else written(source)), 10, 10, 0.0)

    models = ScriptedModels(answer)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        seed = catalogue.load("exprag")
        for split, purpose in (("search", Purpose.SEARCH), ("validation", Purpose.VALIDATION)):
            key = EvaluationKey(seed.id, f"house/{split}", split, 0, "online", "agent", 0, "guest", "config")
            told = {"goal": f"the gold of {split}", "reward": 0.5, "steps": [], "before": [], "items": []}
            evaluation = Evaluation(key, Outcome.SCORED, (0.5,), (1,))
            ledger.record_evaluation(evaluation, purpose, [json.dumps({**told, "stored": None}).encode()])
        writer = LLMProposer(models, 4_000, ledger, lambda designs: [""] * len(designs), 0, 6_000)
        search = Search(0, [seed], [], 1, make("thompson"), [(writer, 1.0)])
        first = search.ask()
        search.population.observe(seed.id, {0: 0.2, 1: 0.3}, failed=False)
        search.tell(first)
        search.tell(search.ask())
    return search, models


def test_a_long_design_full_of_fences_arrives_whole(tmp_path: Path) -> None:
    """EvolveLab: the parser of Markdown cuts long designs off, and at the first fence inside."""
    source = NOTEBOOK + "".join(f'TEXT_{i} = """\n```python\n{"x" * 60}\n```\n"""\n' for i in range(500))
    assert len(source) > 40_000
    search, _ = model_written(tmp_path, source)
    (design,) = (member.design for member in search.population.members.values() if member.slot.draft.parents)
    assert design.source == source


def test_what_the_validation_split_holds_is_not_told_to_the_meta_agent(tmp_path: Path) -> None:
    """EvolveLab: gold answers of the tasks that designs are ranked by reach the meta agent."""
    _, models = model_written(tmp_path, NOTEBOOK)
    told = "\n".join(message.content for call in models.calls for message in call.messages)
    assert "the gold of search" in told
    assert "the gold of validation" not in told


def test_a_better_design_leads_whatever_it_costs() -> None:
    """EvolveLab: the tie-break of its Pareto front prefers .70 at 1,000 tokens to .90 at 1,001."""
    cheap, good = (Design(f"{NOTEBOOK}X = {i}\n") for i in range(2))
    search = Search(0, [cheap, good], [], 2, make("thompson"), [])
    generation = search.ask()
    for design, score in ((cheap, 0.7), (good, 0.9)):
        search.population.observe(design.id, dict.fromkeys(range(6), score), failed=False)
    search.tell(generation)
    assert search.population.ranked() == [good.id, cheap.id]


def test_what_was_not_measured_is_unknown_and_not_nothing(tmp_path: Path) -> None:
    """EvolveLab: missing data counts as zero seconds, and zero seconds win."""
    key = EvaluationKey(DesignId("a" * 16), "a stream", "search", 0, "online", "agent", 0, "guest", "config")
    given = Evaluation(key, Outcome.TIMED_OUT, (0.0,), (0,), cpu_seconds=None, bytes_stored=None)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.record_evaluation(given, Purpose.SEARCH)
    with Ledger(tmp_path / "ledger.sqlite", read_only=True) as ledger:
        (found,) = (record.evaluation for record in ledger.evaluations())
    assert found.cpu_seconds is None
    assert found.bytes_stored is None
    assert found.score == 0.0, "a fault stays in the denominator"
    assert Evaluation(key, Outcome.SCORED).score is None


def test_taking_a_design_in_changes_no_file_of_the_program(tmp_path: Path, backend: EmbeddedBackend) -> None:
    """EvolveLab: to register a design edits the program's own source."""

    def files() -> dict[str, bytes]:
        packages = ("design_space", "sandbox", "archive", "meta_agent")
        return {str(file): file.read_bytes() for name in packages for file in (PROJECT / name).rglob("*.py")}

    before = files()
    design = Design(NOTEBOOK, {}, "a new one")
    repository = Repository(tmp_path / "designs.git")
    repository.commit([(Card.of(design, sequence=0, generation=0, parents=(), operator="seed", note=""), design)])
    assert evaluate(backend, repository.load(design.id)).evaluation.outcome is Outcome.SCORED
    assert files() == before


def test_the_table_above_names_tests_that_there_are() -> None:
    """A table of tests is worth nothing once one of them has gone."""
    rows = re.findall(r"\| (test_\w+): (test_\w+) \|", __doc__ or "")
    assert len(rows) == 16
    for module, name in rows:
        (file,) = (PROJECT / "tests").rglob(f"{module}.py")
        assert f"def {name}" in file.read_text(encoding="utf-8"), (module, name)
