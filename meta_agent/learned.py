"""What a search has learned, read from its run for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from archive.ledger import Ledger
from archive.search_book import PromptRow, SearchBook
from archive.search_view import InsightView, SearchView, prompts_of
from archive.statistics import Interval
from meta_agent import guide
from meta_agent.insights import InsightStore
from meta_agent.lessons import Insight
from meta_agent.steer import Steer
from meta_agent.untrusted import line


def learned(ledger: Ledger) -> SearchView:
    """The prompts and insights of a run, finished or not.

    Raises:
        ArchiveError: the ledger cannot be read.
    """
    with SearchBook(ledger.path, read_only=True) as book:
        prompts, operations = book.prompts(), book.insights()
    insights = [_view(insight) for insight in InsightStore.replay(operations).insights]
    return SearchView(
        prompts=prompts_of(ledger, prompts, in_short(prompts)),
        insights=tuple(sorted(insights, key=lambda insight: (-insight.right, -insight.confirmed))),
    )


def in_short(prompts: Sequence[PromptRow]) -> Mapping[str, str]:
    """What each prompt says, in a line: the fields of a structured one, of a text what its parent did not say."""
    contents = {prompt.id: prompt.content for prompt in prompts}
    return {prompt.id: _says(prompt.content, contents.get(prompt.parent or "", "")) for prompt in prompts}


def _says(content: str, parent: str) -> str:
    try:
        return Steer.from_text(content).told
    except (ValueError, AttributeError, TypeError):  # a text, not fields
        lines, known = _advice(content), set(_advice(parent))
        new = [text for text in lines if text not in known]
        return line((new or lines or [content])[0])


def _advice(content: str) -> list[str]:
    """Lines outside of the contract, without headings such as ``How to look:``."""
    with suppress(ValueError):  # it has no contract
        content = guide.steering(content)
    lines = [text.strip().removeprefix("* ") for text in content.splitlines()]
    return [text for text in lines if text and not text.endswith(":")]


def _view(insight: Insight) -> InsightView:
    effect, half = insight.effect, 1.96 * insight.effect.sd
    return InsightView(
        id=insight.id,
        text=line(insight.text, 600),
        situation=line(insight.situation),
        helps=insight.helps,
        right=insight.right,
        effect=Interval(effect.mean, effect.mean - half, effect.mean + half, len(insight.evidence)),
        streams=sum(piece.n for piece in insight.evidence),
        born=insight.born,
        confirmed=insight.confirmed,
        origin=line(insight.origin, 80),
    )
