"""Every result, decision and cost of a run in one SQLite file, durable when a call returns.

The driver is the one writer; any number of viewers read while it writes. Order of a commit: first git, then the row.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence

from archive.call_book import CHARGED
from archive.errors import AlreadyRecorded, UnknownDesign
from archive.records import (
    Counts,
    Decision,
    DesignRow,
    DesignStatus,
    Json,
    Opening,
    Proposal,
    ProposalVerdict,
    Purpose,
    Recorded,
    Spent,
    Trial,
)
from archive.rows import (
    BESIDE,
    NUMBERED,
    TABLES,
    evaluation_values,
    finite,
    result_of,
    seal_of,
    storable,
    to_decision,
    to_design,
    to_json,
    to_opening,
    to_proposal,
    to_recorded,
    to_trial,
    told,
)
from archive.store import Store
from design_space import DesignId, Evaluation, EvaluationKey


class Ledger(Store):
    """The table of everything that happened in a run, but for its model calls: those are `archive.call_book`'s.

    Takes and raises what `archive.store.Store` does.
    """

    # -- writing

    def record_generation(
        self,
        *,
        designs: Sequence[DesignRow] = (),
        proposals: Sequence[Proposal] = (),
        decisions: Sequence[Decision] = (),
    ) -> None:
        """Record what a generation brought, all or nothing; commit the designs to the repository first.

        Raises:
            UnknownDesign: a parent, or the design of a proposal that is not invalid, is not in the ledger.
            AlreadyRecorded: a design or a sequence number is there already.
            ArchiveFull, ArchiveUnwritable, ArchiveDamaged: the file could not be written.
        """
        with self._writing():
            for design in designs:
                self._insert_design(design)
            for proposal in proposals:
                self._insert_proposal(proposal)
            for decision in decisions:
                self._insert_decision(decision)

    def record_status(self, design: DesignId, status: DesignStatus, reason: str) -> None:
        """Change whether a design is valid, and why.

        Raises:
            UnknownDesign: it is not in the ledger.
        """
        with self._writing():
            row = self._one("designs", "id = ?", design)
            if row is None:
                raise UnknownDesign(f"no design {design} in the ledger")
            values = (*row[:8], status.value, storable(reason))
            self._db.execute(
                "UPDATE designs SET status = ?, reason = ?, seal = ? WHERE id = ?",
                (*values[8:], seal_of(values), design),
            )

    def record_evaluation(
        self, evaluation: Evaluation, purpose: Purpose, episodes: Sequence[bytes] | None = None
    ) -> bool:
        """Record what a design earned on a stream; it is on disk when the call returns.

        The time that it takes does not grow with the ledger.

        Args:
            episodes: JSON of the episodes in stream order, uncompressed.

        Returns:
            False if this key is there with the same result (outcome, rewards and steps; seconds and the like may
            differ). Nothing is written then.

        Raises:
            AlreadyRecorded: this key is there with another result. The first one stays.
            ValueError: a reward outside [0, 1], a number that is not finite, or a sealed evaluation without an opening
                of the sealed split that lists this design and stream.
            ArchiveFull, ArchiveUnwritable, ArchiveDamaged: the file could not be written.
        """
        values = evaluation_values(evaluation, purpose)
        key = evaluation.key
        with self._writing():
            earlier = self._find(key)
            if earlier is not None:
                if result_of(earlier.evaluation) == result_of(evaluation):
                    return False
                raise AlreadyRecorded(
                    f"evaluation {key.digest} of design {key.design} on stream {key.stream!r} is recorded as "
                    f"{told(earlier.evaluation)}, now it is {told(evaluation)}",
                    hint="the first result counts; the design, an agent or a model is not deterministic",
                )
            if (purpose is Purpose.SEALED) != (key.split == "sealed"):
                raise ValueError(f"purpose is {purpose.value!r} but the split is {key.split!r}")
            if purpose is Purpose.SEALED and not self._opened(key):
                raise ValueError(f"no opening of the sealed split lists design {key.design} on stream {key.stream!r}")
            self._insert("evaluations", (self._next("evaluations"), *values))
            if evaluation.found:
                self._insert("questions", (key.digest, to_json([int(found) for found in evaluation.found])))
            if evaluation.task_tokens:
                seconds = [finite(value, "task_seconds") for value in evaluation.task_seconds]
                self._insert("agent_costs", (key.digest, to_json(list(evaluation.task_tokens)), to_json(seconds)))
            if evaluation.recalls:
                self._insert("recalls", (key.digest, storable(evaluation.recalls)))
            for position, episode in enumerate(episodes or ()):
                self._insert("episodes", (key.digest, position, zlib.compress(episode)))
        return True

    def record_decisions(self, decisions: Iterable[Decision]) -> None:
        """Record decisions that belong to no telling of a generation, such as promotions between rungs."""
        self.record_generation(decisions=tuple(decisions))

    def record_opening(
        self, designs: Sequence[DesignId], streams: Sequence[str], *, decided_at: int, data: Json = None
    ) -> Opening:
        """Record that the sealed split is opened for these designs on these streams, before any of it is evaluated.

        Raises:
            ValueError: nothing is listed.
        """
        if not designs or not streams:
            raise ValueError("an opening of the sealed split lists at least one design and one stream")
        with self._writing():
            opening = Opening(self._next("openings"), tuple(designs), tuple(streams), decided_at, data)
            self._insert(
                "openings", (opening.number, to_json(designs), to_json(streams), int(decided_at), to_json(data))
            )
        return opening

    def record_trials(self, trials: Iterable[Trial]) -> None:
        """Record trials of a tuning study, all or nothing.

        Raises:
            AlreadyRecorded: a trial of this study and number is there already.
        """
        with self._writing():
            for trial in trials:
                if self._one("trials", "study = ? AND number = ?", trial.study, trial.number) is not None:
                    raise AlreadyRecorded(f"trial {trial.number} of study {trial.study!r} is recorded already")
                value = None if trial.value is None else finite(trial.value, "value of a trial")
                params = to_json(dict(trial.params))
                self._insert(
                    "trials",
                    (storable(trial.study), trial.number, trial.base, trial.design, params, trial.state, value),
                )

    def set_meta(self, name: str, value: str) -> None:
        """Keep one text of the run's own under a name, in place of an earlier one."""
        with self._writing():
            self._db.execute("DELETE FROM meta WHERE name = ?", (name,))
            self._insert("meta", (name, value))

    # -- reading

    def find(self, key: EvaluationKey) -> Evaluation | None:
        """Return the evaluation of this key, None if it was never made."""
        with self._translated():
            found = self._find(key)
        return None if found is None else found.evaluation

    def evaluations(
        self, design: DesignId | None = None, purpose: Purpose | None = None, split: str | None = None
    ) -> tuple[Recorded, ...]:
        """Return evaluations in the order of arrival, all or those that match."""
        wanted = {"design_id": design, "purpose": purpose and purpose.value, "split": split}
        given = {name: value for name, value in wanted.items() if value is not None}
        where = " AND ".join(f"{name} = ?" for name in given) or "1"
        with self._translated():
            matching = f"digest IN (SELECT digest FROM evaluations WHERE {where})"
            beside = [{row[0]: row for row in self._rows(table, matching, *given.values())} for table in BESIDE]
            rows = self._rows("evaluations", f"{where} ORDER BY sequence", *given.values())
            return tuple(to_recorded(row, *(table.get(row[1]) for table in beside)) for row in rows)

    def episodes(self, key: EvaluationKey) -> tuple[bytes, ...]:
        """Return the JSON of an evaluation's episodes in stream order; none if they were not kept."""
        contents = []
        with self._translated():
            for _, position, content in self._rows("episodes", "digest = ? ORDER BY position", key.digest):
                try:
                    contents.append(zlib.decompress(content))
                except zlib.error as error:
                    raise self._damaged(f"episode {position} of evaluation {key.digest}", str(error)) from error
        return tuple(contents)

    def designs(self) -> tuple[DesignRow, ...]:
        """Return all designs in the order of their sequence numbers."""
        with self._translated():
            parents: dict[str, list[DesignId]] = {}
            for design, _, parent in self._rows("parents", "1 ORDER BY design_id, position"):
                parents.setdefault(design, []).append(DesignId(parent))
            return tuple(
                to_design(row, parents.get(row[1], ())) for row in self._rows("designs", "1 ORDER BY sequence")
            )

    def design(self, id_: DesignId) -> DesignRow | None:
        """Return one design, None if it is not in the ledger."""
        with self._translated():
            row = self._one("designs", "id = ?", id_)
            if row is None:
                return None
            parents = self._rows("parents", "design_id = ? ORDER BY position", id_)
            return to_design(row, [DesignId(parent) for _, _, parent in parents])

    def children(self, id_: DesignId) -> tuple[DesignRow, ...]:
        """Return the designs that were made of this one, in the order of their sequence numbers."""
        with self._translated():
            names = [str(child) for child, _, _ in self._rows("parents", "parent_id = ? ORDER BY design_id", id_)]
        found = [row for name in names if (row := self.design(DesignId(name))) is not None]
        return tuple(sorted(found, key=lambda row: row.sequence))

    def proposals(self, generation: int | None = None) -> tuple[Proposal, ...]:
        """Return proposals in the order of asking, all or those of one generation."""
        where, values = ("1", ()) if generation is None else ("generation = ?", (generation,))
        with self._translated():
            return tuple(map(to_proposal, self._rows("proposals", f"{where} ORDER BY sequence", *values)))

    def decisions(self, generation: int | None = None, subject: DesignId | None = None) -> tuple[Decision, ...]:
        """Return decisions in the order of recording, all or those of a generation or about a design."""
        given = {n: v for n, v in {"generation": generation, "subject": subject}.items() if v is not None}
        where = " AND ".join(f"{name} = ?" for name in given) or "1"
        with self._translated():
            return tuple(map(to_decision, self._rows("decisions", f"{where} ORDER BY sequence", *given.values())))

    def openings(self) -> tuple[Opening, ...]:
        """Return every opening of the sealed split, the first one first."""
        with self._translated():
            return tuple(map(to_opening, self._rows("openings", "1 ORDER BY number")))

    def trials(self, study: str | None = None) -> tuple[Trial, ...]:
        """Return the trials of one tuning study, or of all."""
        where, values = ("1", ()) if study is None else ("study = ?", (study,))
        with self._translated():
            return tuple(map(to_trial, self._rows("trials", f"{where} ORDER BY study, number", *values)))

    def meta(self, name: str) -> str | None:
        """Return the text that is kept under this name, None if there is none."""
        with self._translated():
            row = self._one("meta", "name = ?", name)
        return None if row is None else str(row[1])

    def counts(self) -> Counts:
        """Return how many rows there are."""
        names = ("proposals", "evaluations", "episodes", "decisions", "openings", "trials")
        with self._translated():
            numbers = {name: self._scalar(f"SELECT count(*) FROM {name}") for name in ("designs", *names)}
            invalid = self._scalar("SELECT count(*) FROM designs WHERE status = 'invalid'")
            duplicates = self._scalar("SELECT count(*) FROM proposals WHERE verdict = 'duplicate'")
        return Counts(invalid=invalid, duplicates=duplicates, **numbers)

    def spent(self) -> Spent:
        """Return what the run has cost so far."""
        with self._translated():
            evaluations, seconds = self._db.execute("SELECT count(*), total(seconds) FROM evaluations").fetchone()
            calls, tokens, nanodollars = self._db.execute(f"SELECT {CHARGED} FROM model_calls").fetchone()
        return Spent(evaluations, calls, tokens, nanodollars / 1e9, seconds)

    def check(self) -> None:
        """Read the whole file: structure, the seal of every row, references, and that no arrival is missing.

        Raises:
            ArchiveDamaged: names the first thing that is not what was written.
        """
        with self._translated():
            problem = self._db.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if problem != "ok":
                raise self._damaged("its structure", problem)
            for table in TABLES:
                for _ in self._rows(table, "1"):
                    pass
            reference = self._db.execute("PRAGMA foreign_key_check").fetchone()
            if reference is not None:
                raise self._damaged(f"row {reference[1]} of {reference[0]}", f"it names no row of {reference[2]}")
            for table, column in NUMBERED.items():
                rows, last = self._db.execute(f"SELECT count(*), coalesce(max({column}), 0) FROM {table}").fetchone()
                if rows != last:
                    raise self._damaged(table, f"it has {rows} rows, wanted {last}")

    # -- rows

    def _insert_design(self, design: DesignRow) -> None:
        if self._one("designs", "id = ? OR sequence = ?", design.id, design.sequence) is not None:
            raise AlreadyRecorded(f"design {design.id} or sequence number {design.sequence} is recorded already")
        origin = (design.generation, storable(design.proposer), storable(design.operator))
        status = (design.status.value, storable(design.reason))
        identity = (design.sequence, design.id, storable(design.name), design.commit, design.ast_hash)
        self._insert("designs", (*identity, *origin, *status))
        for position, parent in enumerate(design.parents):
            self._demand(parent, f"parent of design {design.id}")
            self._insert("parents", (design.id, position, parent))

    def _insert_proposal(self, proposal: Proposal) -> None:
        if self._one("proposals", "sequence = ?", proposal.sequence) is not None:
            raise AlreadyRecorded(f"proposal {proposal.sequence} is recorded already")
        if proposal.verdict is not ProposalVerdict.INVALID:
            self._demand(proposal.design, f"design of proposal {proposal.sequence}")
        place = (proposal.sequence, proposal.generation, proposal.slot, proposal.design)
        origin = (storable(proposal.proposer), storable(proposal.operator), storable(proposal.note))
        self._insert("proposals", (*place, *origin, proposal.verdict.value, storable(proposal.reason)))

    def _insert_decision(self, decision: Decision) -> None:
        texts = storable(decision.kind), decision.subject, storable(decision.reason), to_json(decision.data)
        self._insert("decisions", (self._next("decisions"), decision.generation, *texts))

    def _demand(self, design: DesignId | None, what: str) -> None:
        if design is None or self._one("designs", "id = ?", design) is None:
            raise UnknownDesign(f"{what} is {design}, which is not in the ledger")

    def _find(self, key: EvaluationKey) -> Recorded | None:
        row = self._one("evaluations", "digest = ?", key.digest)
        if row is None:
            return None
        return to_recorded(row, *(self._one(table, "digest = ?", key.digest) for table in BESIDE))

    def _opened(self, key: EvaluationKey) -> bool:
        openings = map(to_opening, self._rows("openings", "1"))
        return any(key.design in opening.designs and key.stream in opening.streams for opening in openings)
