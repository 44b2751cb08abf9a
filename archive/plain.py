"""Text for people: what others wrote, made harmless, and scores in one form."""

from __future__ import annotations

import re
import unicodedata

from archive.card import clean_line
from archive.statistics import Interval

LINE_LIMIT, BLOCK_LIMIT = 500, 60_000

_ANSI = re.compile(
    r"(?:\x1b[\[]|\x9b)[0-?]*[ -/]*[@-~]"  # colours, cursor
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # titles, links, device strings
    r"|\x1b[ -/]*[0-~]?"
)
_BLANK = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufe00-\ufe0f\U000e0000-\U000e0fff]")
_STACKED = re.compile(r"([\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]{2})"
                      r"[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+")  # fmt: skip
_CUT = "…"


def plain(text: str, limit: int = LINE_LIMIT) -> str:
    """Return untrusted text as one line that is harmless in a terminal, and readable as what it says.

    Escape sequences, control, bidirectional, zero-width and blank-looking characters go, and so do stacks of more than
    two accents; what is longer than `limit` characters ends in an ellipsis. It is not escaped for HTML.
    """
    start = text[: limit * 8 + 64]
    shown = _STACKED.sub(r"\1", _BLANK.sub(" ", _ANSI.sub(" ", start)))
    line = clean_line(shown, limit + 1)
    return line if len(line) <= limit and len(start) == len(text) else line[: max(limit - 1, 0)] + _CUT


def plain_lines(text: str, limit: int = BLOCK_LIMIT) -> str:
    """Return untrusted text of several lines, such as source; newlines and tabs stay.

    Every other character that `plain` would remove is shown as U+FFFD: whoever reviews source must see that something
    is hidden there.
    """
    start = text[:limit].replace("\r\n", "\n")
    shown = "".join(
        "\ufffd" if c not in "\n\t" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") else c
        for c in _STACKED.sub(r"\1", _BLANK.sub("\ufffd", start))
    )
    return shown if len(text) <= limit else f"{shown}\n{_CUT} {len(text) - limit} more characters"


def number(value: float) -> str:
    """Return a score with three decimals, without a leading zero: ``.553``."""
    text = f"{value:.3f}"
    return re.sub(r"^(-?)0\.", r"\1.", text)


def told_score(score: Interval | None) -> str:
    """Return a score for people: ``.553 [.480, .626] n=12``."""
    if score is None:
        return "no score, n=0"
    score = score.within(0.0, 1.0)
    return f"{number(score.mean)} [{number(score.low)}, {number(score.high)}] n={score.n}"
