"""What a ledger says, as text in one order: equal for two runs that did the same, whenever and with any workers."""

from __future__ import annotations

import json
from collections.abc import Iterator

from archive.rows import TABLES
from archive.store import Store

MEASURED = {
    "evaluations": ("sequence", "seconds", "cpu_seconds"),
    "decisions": ("sequence",),
    "agent_costs": ("seconds",),
    "model_calls": ("charged_calls", "charged_tokens", "charged_nanodollars"),
}
"""Columns that say when, how long or in which order of arrival, and what attempts cost that were lost."""
CLOCK = "clock"
"""Under which name of its own a run keeps how long its search has taken, and where its time was up."""
BEGUN_WITH = "begun with"
"""Under which name a run keeps the config that it was begun with; older ones have none."""
LEFT_OUT = {"model_calls": "outcome = 'open'", "meta": f"name IN ('{CLOCK}', '{BEGUN_WITH}')"}
"""Rows that say the like."""


def content(store: Store) -> Iterator[str]:
    """Yield one line for each row, table by table, without what is measured; open calls are left out.

    Raises:
        ArchiveDamaged: a row is not what was written.
    """
    for table, columns in TABLES.items():
        kept = [place for place, name in enumerate(columns) if name not in MEASURED.get(table, ())]
        where = f"NOT ({LEFT_OUT.get(table, '0')})"
        rows = ([row[place] for place in kept] for row in store.rows(table, where))
        yield from sorted(json.dumps([table, *row], default=lambda blob: blob.hex()) for row in rows)
