"""Claims about whole runs with models, over real sockets: what is archived, repeated, stopped, and gone on with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from model_runs import FLOOD, RULES, VARIANTS, configured, drive
from small_runs import archive_of, in_process

from archive.content import content
from archive.ledger import Ledger
from archive.records import ProposalVerdict
from archive.repository import Repository
from meta_agent.run import RunFolder, recap
from sandbox.calls import BudgetUsedUp, NotRecorded, ProviderRefused
from sandbox.mock_llm import ScriptedModel, serve
from sandbox.mock_script import Fault, Script


def said(path: Path) -> list[str]:
    with Ledger(RunFolder(path).ledger, read_only=True) as ledger:
        return list(content(ledger))


def proposals(path: Path) -> list[Any]:
    with Ledger(RunFolder(path).ledger, read_only=True) as ledger:
        return [p for p in ledger.proposals() if p.proposer == "llm"]


def test_good_designs_are_archived_the_rest_have_a_reason_and_a_replay_says_the_same(tmp_path: Path) -> None:
    with serve(Script(rules=RULES)) as server:
        config = configured(server.url, "search.generation_size=8", "budget.evaluations=24")
        drive(tmp_path / "run", config)
        asked = len(server.requests)
        made = proposals(tmp_path / "run")
        drive(tmp_path / "again", config, RunFolder(tmp_path / "run").ledger)
        assert len(server.requests) == asked, "a replay asks nobody"
    assert {p.verdict for p in made} >= {ProposalVerdict.NEW, ProposalVerdict.INVALID}
    assert all(p.reason for p in made if p.verdict is not ProposalVerdict.NEW)
    sources = {Repository(RunFolder(tmp_path / "run").repository).load(p.design).source for p in made if p.design}
    assert set(VARIANTS) & sources
    assert said(tmp_path / "run") == said(tmp_path / "again")
    assert archive_of(tmp_path / "run") == archive_of(tmp_path / "again")


@pytest.mark.usefixtures("trusted")
def test_an_answer_of_five_megabytes_is_an_outcome(tmp_path: Path) -> None:
    with serve(Script(rules=FLOOD)) as server:
        drive(tmp_path / "run", configured(server.url))
    made = proposals(tmp_path / "run")
    assert made
    assert all(p.verdict is ProposalVerdict.INVALID and "cannot be used" in p.reason for p in made)


def test_an_agent_that_is_a_model_plays_and_its_cost_is_filed(tmp_path: Path) -> None:
    with serve(Script(rules=RULES)) as server:
        config = configured(
            server.url,
            "evaluation.agent=llm",
            "stream.settings={tasks_count: 2, max_steps: 4}",
            "budget.evaluations=36",
        )
        drive(tmp_path / "run", config)
        assert server.count(model="agent") > 40
    with Ledger(RunFolder(tmp_path / "run").ledger, read_only=True) as ledger:
        for record in ledger.evaluations():
            evaluation = record.evaluation
            assert len(evaluation.task_tokens) == len(evaluation.rewards) == 2
            assert evaluation.model_calls == sum(evaluation.steps)
            assert evaluation.model_tokens == sum(evaluation.task_tokens)
        spent = ledger.spent()
    assert spent.dollars > 0.0
    assert spent.model_calls == len(server.requests)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The archive of a run without any fault."""
    path = tmp_path_factory.mktemp("calm") / "run"
    with in_process(), serve(Script(rules=RULES)) as server:
        drive(path, configured(server.url))
    return archive_of(path)


@pytest.mark.parametrize(
    "faults",
    [
        (
            Fault(kind="status", status=429, retry_after="0.02", share=0.4),
            Fault(kind="status", status=429, share=0.4),
            Fault(kind="status", status=503, share=0.4),
        ),
        (Fault(kind="reset", share=0.5), Fault(kind="truncated", share=0.5)),
        (Fault(kind="malformed", share=0.4), Fault(kind="empty", share=0.4), Fault(kind="html", share=0.4)),
    ],
    ids=["refusals", "connections", "answers"],
)
@pytest.mark.usefixtures("trusted")
def test_transient_faults_leave_the_archive_of_a_run_without_them(
    tmp_path: Path, calm: Any, faults: tuple[Fault, ...]
) -> None:
    with serve(Script(rules=RULES, faults=faults)) as server:
        drive(tmp_path / "rough", configured(server.url))
        for kind in {fault.kind for fault in faults}:
            assert server.count(fault=kind) > 0
    assert archive_of(tmp_path / "rough") == calm


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="status", status=401, times=None),
        Fault(kind="status", status=400, times=None),
        Fault(kind="status", status=429, code="insufficient_quota", times=None),
    ],
    ids=["key", "request", "quota"],
)
@pytest.mark.usefixtures("trusted")
def test_fatal_faults_stop_the_run_with_the_reason_and_it_goes_on_to_the_same(
    tmp_path: Path, calm: Any, fault: Fault
) -> None:
    with serve(Script(rules=RULES, faults=(fault,))) as server:
        broken = configured(server.url)
        with pytest.raises(ProviderRefused):
            drive(tmp_path / "rough", broken)
        assert len(server.requests) <= broken.search.generation_size, "a fatal fault is not tried again"
        port = int(server.url.rpartition(":")[2].partition("/")[0])
    with serve(Script(rules=RULES), port=port):
        drive(tmp_path / "rough", broken)
    assert archive_of(tmp_path / "rough") == calm


@pytest.mark.usefixtures("trusted")
def test_a_cap_stops_the_run_and_a_higher_one_goes_on_to_the_same(tmp_path: Path) -> None:
    with serve(Script(rules=RULES)) as server:
        drive(tmp_path / "whole", configured(server.url))
        with Ledger(RunFolder(tmp_path / "whole").ledger, read_only=True) as ledger:
            needed = ledger.spent()
        capped = configured(server.url, f"budget.dollars={needed.dollars / 2}")
        with pytest.raises(BudgetUsedUp, match=r"budget\.dollars"):
            drive(tmp_path / "part", capped)
        with Ledger(RunFolder(tmp_path / "part").ledger, read_only=True) as ledger:
            spent = ledger.spent()
        assert 0.0 < spent.dollars <= needed.dollars / 2
        folder = RunFolder(tmp_path / "part")
        with folder.held():
            recap(folder, (f"budget.dollars={needed.dollars * 10}",))
        drive(tmp_path / "part", folder.read_config())
        with Ledger(folder.ledger, read_only=True) as ledger:
            assert ledger.spent().dollars == pytest.approx(needed.dollars), "nothing is paid for twice"
    assert archive_of(tmp_path / "part") == archive_of(tmp_path / "whole")


@pytest.mark.usefixtures("trusted")
def test_a_replay_of_another_config_says_so(tmp_path: Path) -> None:
    with serve(Script(rules=RULES)) as server:
        drive(tmp_path / "run", configured(server.url))
        other = configured(server.url, "seed=1")
        with pytest.raises(NotRecorded, match="no answer to call 0 of meta"):
            drive(tmp_path / "again", other, RunFolder(tmp_path / "run").ledger)


def test_no_key_is_ever_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_MODEL_KEY", "sk-canary-1234567890")
    with serve(Script(rules=RULES)) as server:
        config = configured(server.url, "models.meta.key_env=TEST_MODEL_KEY")
        drive(tmp_path / "run", config)
        assert _keys(server) == {"sk-canary-1234567890"}
    for file in (tmp_path / "run").rglob("*"):
        if file.is_file():
            assert b"sk-canary" not in file.read_bytes(), file


def _keys(server: ScriptedModel) -> set[str]:
    return {seen.key.removeprefix("Bearer ") for seen in server.requests if seen.asked.model == "meta"}
