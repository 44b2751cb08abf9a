"""The ledger's tables, as migrations: the n-th takes a file from schema version n to n + 1.

A migration that has been released is never edited; add one instead. Every row carries a seal, a digest of its other
columns except `recorded_at`, since SQLite itself would not notice a flipped digit. `recorded_at` (Unix seconds) is for
people; it belongs to nothing that is compared.
"""

from __future__ import annotations

APPLICATION_ID = 0x4D4E4547  # "MNEG"

_V1 = (
    """CREATE TABLE meta (
        name TEXT PRIMARY KEY, value TEXT NOT NULL, seal TEXT NOT NULL, recorded_at REAL NOT NULL)""",
    """CREATE TABLE designs (
        sequence INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, commit_sha TEXT NOT NULL,
        ast_hash TEXT, generation INTEGER NOT NULL, proposer TEXT NOT NULL, operator TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('valid', 'invalid')), reason TEXT NOT NULL,
        seal TEXT NOT NULL, recorded_at REAL NOT NULL)""",
    "CREATE INDEX designs_by_ast ON designs (ast_hash)",
    """CREATE TABLE parents (
        design_id TEXT NOT NULL REFERENCES designs (id), position INTEGER NOT NULL,
        parent_id TEXT NOT NULL REFERENCES designs (id), seal TEXT NOT NULL, recorded_at REAL NOT NULL,
        PRIMARY KEY (design_id, position))""",
    "CREATE INDEX parents_by_parent ON parents (parent_id)",
    """CREATE TABLE proposals (
        sequence INTEGER PRIMARY KEY, generation INTEGER NOT NULL, slot INTEGER NOT NULL, design_id TEXT,
        proposer TEXT NOT NULL, operator TEXT NOT NULL, note TEXT NOT NULL,
        verdict TEXT NOT NULL CHECK (verdict IN ('new', 'duplicate', 'invalid')), reason TEXT NOT NULL,
        seal TEXT NOT NULL, recorded_at REAL NOT NULL)""",
    "CREATE INDEX proposals_by_generation ON proposals (generation)",
    # Evaluations name designs without a foreign key: paid work is kept even if what describes its design comes later
    # (trials of a tuning study, a crash before the generation was told).
    """CREATE TABLE evaluations (
        sequence INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE,
        design_id TEXT NOT NULL, stream TEXT NOT NULL, split TEXT NOT NULL, task_order INTEGER NOT NULL,
        protocol TEXT NOT NULL, agent TEXT NOT NULL, seed INTEGER NOT NULL, guest TEXT NOT NULL, config TEXT NOT NULL,
        purpose TEXT NOT NULL CHECK (purpose IN ('search', 'control', 'validation', 'sealed')),
        outcome TEXT NOT NULL, score REAL, rewards TEXT NOT NULL, steps TEXT NOT NULL, detail TEXT NOT NULL,
        seconds REAL NOT NULL, cpu_seconds REAL, bytes_stored INTEGER, recall_chars INTEGER NOT NULL,
        model_calls INTEGER NOT NULL, model_tokens INTEGER NOT NULL, backend TEXT NOT NULL,
        seal TEXT NOT NULL, recorded_at REAL NOT NULL)""",
    "CREATE INDEX evaluations_by_design ON evaluations (design_id)",
    "CREATE INDEX evaluations_by_purpose ON evaluations (purpose, split)",
    "CREATE INDEX evaluations_cost ON evaluations (model_calls, model_tokens, seconds)",
    """CREATE TABLE episodes (
        digest TEXT NOT NULL REFERENCES evaluations (digest), position INTEGER NOT NULL, content BLOB NOT NULL,
        seal TEXT NOT NULL, recorded_at REAL NOT NULL, PRIMARY KEY (digest, position))""",
    """CREATE TABLE decisions (
        sequence INTEGER PRIMARY KEY, generation INTEGER NOT NULL, kind TEXT NOT NULL, subject TEXT,
        reason TEXT NOT NULL, data TEXT NOT NULL, seal TEXT NOT NULL, recorded_at REAL NOT NULL)""",
    "CREATE INDEX decisions_by_generation ON decisions (generation)",
    "CREATE INDEX decisions_by_subject ON decisions (subject)",
    """CREATE TABLE openings (
        number INTEGER PRIMARY KEY, designs TEXT NOT NULL, streams TEXT NOT NULL, decided_at INTEGER NOT NULL,
        data TEXT NOT NULL, seal TEXT NOT NULL, recorded_at REAL NOT NULL)""",
    """CREATE TABLE trials (
        study TEXT NOT NULL, number INTEGER NOT NULL, base_id TEXT NOT NULL, design_id TEXT NOT NULL,
        params TEXT NOT NULL, state TEXT NOT NULL CHECK (state IN ('complete', 'pruned', 'failed')), value REAL,
        seal TEXT NOT NULL, recorded_at REAL NOT NULL, PRIMARY KEY (study, number))""",
    """CREATE TABLE prompts (
        id TEXT PRIMARY KEY, parent_id TEXT REFERENCES prompts (id), generation INTEGER NOT NULL,
        origin TEXT NOT NULL, content TEXT NOT NULL, data TEXT NOT NULL,
        seal TEXT NOT NULL, recorded_at REAL NOT NULL)""",
    """CREATE TABLE insights (
        sequence INTEGER PRIMARY KEY, operation TEXT NOT NULL CHECK (operation IN ('add', 'modify', 'merge', 'delete')),
        insight_id TEXT NOT NULL, generation INTEGER NOT NULL, content TEXT NOT NULL, data TEXT NOT NULL,
        seal TEXT NOT NULL, recorded_at REAL NOT NULL)""",
    "CREATE INDEX insights_by_insight ON insights (insight_id)",
    """CREATE TABLE model_calls (
        sequence INTEGER PRIMARY KEY, generation INTEGER NOT NULL, purpose TEXT NOT NULL, model TEXT NOT NULL,
        outcome TEXT NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, dollars REAL,
        seconds REAL NOT NULL, seal TEXT NOT NULL, recorded_at REAL NOT NULL)""",
)

# Beside `evaluations`, not in it: its rows are sealed column by column. No row: the tasks were no questions.
_V2 = (
    """CREATE TABLE questions (
        digest TEXT PRIMARY KEY REFERENCES evaluations (digest), found TEXT NOT NULL,
        seal TEXT NOT NULL, recorded_at REAL NOT NULL)""",
)

# Nobody had written to the first table of this name. A call is charged its reservation when it is opened, which its
# answer corrects; one that a crash cut off keeps it.
_V3 = (
    "DROP TABLE model_calls",
    """CREATE TABLE model_calls (
        scope TEXT NOT NULL, role TEXT NOT NULL, position INTEGER NOT NULL, content TEXT NOT NULL, model TEXT NOT NULL,
        outcome TEXT NOT NULL CHECK (outcome IN ('open', 'answered', 'refused')), request BLOB, answer BLOB NOT NULL,
        vectors BLOB NOT NULL, cut INTEGER NOT NULL, attempts INTEGER NOT NULL, input_tokens INTEGER NOT NULL,
        output_tokens INTEGER NOT NULL, dollars REAL, seconds REAL NOT NULL, charged_calls INTEGER NOT NULL,
        charged_tokens INTEGER NOT NULL, charged_nanodollars INTEGER NOT NULL,
        seal TEXT NOT NULL, recorded_at REAL NOT NULL, PRIMARY KEY (scope, role, position, content))""",
    """CREATE TABLE agent_costs (
        digest TEXT PRIMARY KEY REFERENCES evaluations (digest), tokens TEXT NOT NULL, seconds TEXT NOT NULL,
        seal TEXT NOT NULL, recorded_at REAL NOT NULL)""",
    "CREATE INDEX model_calls_cost ON model_calls (role, charged_calls, charged_tokens, charged_nanodollars)",
)

# No row: made by a version that did not say.
_V4 = (
    """CREATE TABLE recalls (
        digest TEXT PRIMARY KEY REFERENCES evaluations (digest), content TEXT NOT NULL,
        seal TEXT NOT NULL, recorded_at REAL NOT NULL)""",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_V1, _V2, _V3, _V4)
VERSION = len(MIGRATIONS)
