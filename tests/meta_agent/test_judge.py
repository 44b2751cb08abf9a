"""Claims about certificates: what is judged as memory, and what is not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import vending
from small_runs import Silence

from archive.certificate import Certificate, Claim, Repeat
from archive.certificate_page import render
from archive.ledger import Ledger
from design_space import Design, catalogue
from meta_agent.errors import BadInput
from meta_agent.evaluations import Evaluations
from meta_agent.judge import AGENT, OTHER_AGENT, Judge
from meta_agent.panel import Stand, choose
from meta_agent.pool import SerialPool, never
from meta_agent.progress import Progress
from meta_agent.worker import WorkerSpec
from sandbox.backend import Limits
from sandbox.choose import Kind

REPEAT = Repeat("mnemogen judge x", 0, "guest", "embedded", "limits", {"python": "3"})


def stand(shared: bool = False, **rest: object) -> Stand:
    settings = {"shared": shared}
    return Stand.model_validate(
        {"name": "vending", "source": "vending:Vending", "settings": settings, "streams_count": 6, **rest}
    )


def judged(
    design: Design, stands: Sequence[Stand], folder: Path, backend: Kind = "embedded"
) -> tuple[Certificate, Progress]:
    benches = tuple(s.bench(agent, 0, Limits()) for s in stands for agent in (AGENT, OTHER_AGENT))
    spec = WorkerSpec("test-judge", benches, str(Path(__file__).parents[1]), Limits(), backend, None, 0)
    progress = Progress()
    folder.mkdir(exist_ok=True)
    with Ledger(folder / "ledger.sqlite") as ledger, SerialPool(spec) as pool:
        evaluations = Evaluations(spec, ledger, pool, Silence(), never, progress)
        evaluations.begin()
        certificate = Judge(stands, evaluations, ledger, progress).judge(design, REPEAT)
        ledger.check()
    return certificate, progress


WIRING = Design(vending.WIRING, {}, "wiring")


@pytest.mark.parametrize(
    ("design", "shared", "claim", "said"),
    [
        (WIRING, False, Claim.MEMORY, "Under amnesia it is gone"),
        (WIRING, True, Claim.TRANSFER, "survives the experience of another family"),
        (Design(vending.ADVICE.replace("{first}", "1")), True, Claim.ADVICE, "survives amnesia"),
        (Design(vending.ADVICE.replace("{first}", "5")), True, Claim.HARM, "less than no memory"),
        (catalogue.load("random_recall"), False, Claim.NOTHING, "No gain over no memory is shown"),
    ],
)
@pytest.mark.usefixtures("trusted")
def test_what_may_be_claimed(design: Design, shared: bool, claim: Claim, said: str, tmp_path: Path) -> None:
    certificate, _ = judged(design, [stand(shared)], tmp_path)
    (sheet,) = certificate.sheets
    assert sheet.claim is claim, sheet.sentences
    assert said in " ".join(sheet.sentences)


@pytest.mark.usefixtures("trusted")
def test_a_certificate_has_every_figure_and_every_control(tmp_path: Path) -> None:
    certificate, _ = judged(WIRING, [stand()], tmp_path)
    (sheet,) = certificate.sheets
    assert [rival.name.partition(" (")[0] for rival in sheet.rivals] == [
        "no memory",
        "random recall",
        "full history",
        "last k",
    ]
    assert sheet.outcomes == {"scored": 6}
    assert sheet.learning is not None
    assert sheet.learning.mean > 0.1
    assert sheet.order_robustness is not None
    assert sheet.order_robustness.mean > 0.5
    assert sheet.forgetting is not None
    assert sheet.forgetting.mean > 0.2, "the other family's wiring has taken the place of this one's"
    assert sheet.carried_over is not None
    assert [swap.name for swap in sheet.swaps] == ["literal"]
    assert sheet.swaps[0].gain.mean > 0.1
    assert sheet.costs.bytes_stored is not None
    assert all(rival.detectable is not None and rival.detectable > 0.0 for rival in sheet.rivals)


@pytest.mark.usefixtures("trusted")
def test_the_same_file_gets_the_same_certificate_to_the_byte(tmp_path: Path) -> None:
    (first, _), (second, _) = (judged(WIRING, [stand()], tmp_path / name) for name in "ab")
    assert first.to_json() == second.to_json()
    assert render(first) == render(second)
    again, progress = judged(WIRING, [stand()], tmp_path / "a")
    assert again.to_json() == first.to_json()
    assert progress.fresh == 0
    assert progress.evaluations == progress.allowed


@pytest.mark.docker
def test_docker_and_the_embedded_sandbox_judge_alike(tmp_path: Path) -> None:
    (first, _), (second, _) = (judged(WIRING, [stand()], tmp_path / kind, kind) for kind in ("docker", "embedded"))  # type: ignore[arg-type]
    assert first.to_json() == second.to_json()


@pytest.mark.usefixtures("trusted")
def test_a_design_that_crashes_is_judged_too(tmp_path: Path) -> None:
    broken = Design(vending.WIRING.replace("self.known[episode.goal] = step.action", "1 / 0"), {}, "broken")
    certificate, _ = judged(broken, [stand()], tmp_path)
    (sheet,) = certificate.sheets
    assert sheet.outcomes == {"crashed": 6}
    assert "ZeroDivisionError" in sheet.faults[0]
    assert sheet.claim in (Claim.HARM, Claim.NOTHING)
    page = render(certificate)
    assert "ZeroDivisionError" in page


@pytest.mark.usefixtures("trusted")
def test_questions_are_judged_with_what_was_found(tmp_path: Path) -> None:
    asked = Stand(
        name="facts",
        source="facts",
        settings={"sessions_count": 8, "people_count": 3, "changes_count": 4, "questions_count": 3},
        protocol="inject",
        recall_chars=1_000,
        streams_count=3,
    )
    certificate, _ = judged(catalogue.load("rag"), [asked, stand()], tmp_path)
    facts, played = certificate.sheets
    assert facts.found is not None
    assert len(facts.competences) == 4
    assert all(kind.found.mean >= kind.answered.mean - 0.34 for kind in facts.competences)
    assert facts.curve == ()
    assert facts.order_robustness is None
    assert played.found is None
    assert json.loads(certificate.to_json())["sheets"][0]["subject"]["protocol"] == "inject"


@pytest.mark.usefixtures("trusted")
def test_sealed_streams_are_opened_on_the_record(tmp_path: Path) -> None:
    judged(WIRING, [stand(split="sealed")], tmp_path)
    with Ledger(tmp_path / "ledger.sqlite", read_only=True) as ledger:
        (opening,) = ledger.openings()
        assert WIRING.id in opening.designs
        assert len(opening.streams) == 6


@pytest.mark.usefixtures("trusted")
def test_a_file_of_ones_own_becomes_a_stand(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    lines = [
        line
        for who, pet, name in (("anna", "cat", "Tom"), ("ben", "dog", "Rex"))
        for line in (
            {"history": who, "session": {"title": "Monday", "turns": [f"user: My {pet} is called {name}."]}},
            {"history": who, "question": f"How is my {pet} called?", "answers": [name]},
        )
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (mine,) = choose(str(file))
    assert (mine.name, mine.streams_count, mine.protocol) == ("mine", 2, "inject")
    certificate, _ = judged(catalogue.load("rag"), [mine], tmp_path / "run")
    assert certificate.sheets[0].score.mean == 1.0
    assert [rival.name for rival in certificate.sheets[0].rivals][-1] == "last k (untuned)"
    file.write_text(json.dumps(lines[0]) + "\n" + json.dumps(lines[1]) + "\n")
    with pytest.raises(BadInput, match="holds 1 history, and nothing can be said of n = 1"):
        choose(f"jsonl:{file}")


@pytest.mark.usefixtures("trusted")
def test_streams_that_are_not_to_be_had_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"unknown stream 'hosehold'; did you mean 'household'\?"):
        choose("hosehold")
    with pytest.raises(BadInput, match="no stream is named"):
        choose(" , ")
    with pytest.raises(BadInput, match="there is no file"):
        choose("locomo:/nonexistent.json")
