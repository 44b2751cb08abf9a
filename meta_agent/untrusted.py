"""Text that designs, tasks and models wrote, as a prompt may hold it: marked, bounded, without hidden characters."""

from __future__ import annotations

import hashlib

from archive.plain import plain, plain_lines


def quoted(name: str, text: str, limit: int) -> str:
    """Return text between two marks that it cannot contain: they are named after its own digest.

    Args:
        name: what it is, in a word.
        limit: characters that are shown; what is beyond is counted.
    """
    shown = plain_lines(text, limit).strip("\n")
    mark = hashlib.sha256(shown.encode()).hexdigest()[:8]
    return f"[{name} {mark}]\n{shown}\n[end {name} {mark}]"


def line(text: str, limit: int = 300) -> str:
    """Return text as one harmless line."""
    return plain(text, limit)
