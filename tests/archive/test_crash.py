"""Claims about kill -9: what was acknowledged is there, and the archive goes on."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import archive.card as card_module
from archive.card import Card
from archive.ledger import Ledger
from archive.repository import Repository
from design_space import Design, DesignId

_ROOT = Path(card_module.__file__).parents[1]

_WRITER = """
import sys
from pathlib import Path
from archive.card import Card
from archive.ledger import Ledger
from archive.records import DesignRow, Purpose
from archive.repository import Repository
from design_space import Design, Evaluation, EvaluationKey, Outcome

folder = Path(sys.argv[1])
repository, ledger = Repository(folder / "archive.git"), Ledger(folder / "ledger.sqlite")
repository.verify()
ledger.check()
rows = {row.id for row in ledger.designs()}
for card in repository.cards():  # a commit without a row is adopted
    if card.id not in rows:
        commit = repository.refs()[card.id]
        row = DesignRow(card.id, card.sequence, card.name, commit, card.generation, parents=card.parents)
        ledger.record_generation(designs=[row])
number = max((row.sequence for row in ledger.designs()), default=-1) + 1
print("ready", flush=True)
last = ()
while True:
    designs = [Design(f"x = {number + i}") for i in range(3)]
    cards = [Card.of(d, sequence=number + i, generation=number // 3, parents=last) for i, d in enumerate(designs)]
    reports = repository.commit(list(zip(cards, designs)))
    for card, report in zip(cards, reports):
        row = DesignRow(card.id, card.sequence, card.name, report.commit, card.generation, parents=card.parents)
        ledger.record_generation(designs=[row])
        key = EvaluationKey(card.id, "s", "search", 0, "online", "a", 0, "g", "c")
        ledger.record_evaluation(Evaluation(key, Outcome.SCORED, (0.5,), (1,)), Purpose.SEARCH, [b"{}"])
        print(card.id, flush=True)
    last, number = (cards[0].id,), number + 3
"""


def test_kill_9_at_any_moment_loses_nothing_acknowledged(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    chance = random.Random()
    for _ in range(5):
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=_ROOT
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        wanted, delay = chance.randrange(1, 8), chance.random() * 0.1
        acknowledged += [writer.stdout.readline().strip() for _ in range(wanted)]
        try:
            writer.wait(delay)
            pytest.fail("the writer ended by itself")
        except subprocess.TimeoutExpired:
            writer.send_signal(signal.SIGKILL)
        acknowledged += [line.strip() for line in writer.stdout if line.endswith("\n")]
        writer.wait(10)
        writer.stdout.close()
        repository = Repository(tmp_path / "archive.git", read_only=True)
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            ledger.check()
            rows = {row.id: row.commit for row in ledger.designs()}
            assert {found.evaluation.key.design for found in ledger.evaluations()} >= set(acknowledged)
        refs = repository.refs()
        assert set(acknowledged) <= set(rows)
        assert rows.items() <= refs.items(), "a row without a commit"
    last = max(card.sequence for card in repository.cards())
    design = Design("after = 1")
    writable = Repository(tmp_path / "archive.git")
    writable.commit([(Card.of(design, sequence=last + 1, generation=99), design)])
    writable.verify()
    assert writable.load(DesignId(acknowledged[0])).id == acknowledged[0]
