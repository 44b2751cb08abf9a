"""What a model that writes designs may answer."""

from __future__ import annotations

from collections.abc import Sequence

NOTEBOOK = '''"""Keeps what earned something."""

from design_space import Item, Memory, Recall, Snapshot


class Notebook(Memory):
    """A list of what happened; its examples are fenced as in
    ```python
    memory.update(episode)
    ```
    """

    def retrieve(self, query):
        return Recall(tuple(Item(str(i), text) for i, text in enumerate(self.notes)))

    def update(self, episode):
        self.notes.append(episode.goal)

    def snapshot(self):
        return Snapshot(self.notes)

    def restore(self, snapshot):
        self.notes = list(snapshot.data)

    def __init__(self, kit, **params):
        super().__init__(kit, **params)
        self.notes = []
'''
PLAN = {"finding": "it forgets", "plan": "keep notes", "name": "a notebook"}


def written(source: str = "", edits: Sequence[tuple[str, str]] = (), note: str = "keeps notes") -> dict[str, object]:
    return {"note": note, "source": source, "edits": [{"search": a, "replace": b} for a, b in edits]}
