"""Proposes designs that a language model writes: reflect and plan, write, check in the sandbox, repair, within bounds.

All proposals of a generation go through each of these steps together, so that their calls wait at the same time and
what each of them says depends on nothing but its own place (ALMA, arXiv 2602.07755, with its steps in one order).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from archive.ledger import Ledger
from archive.selection import Selection
from design_space import Design, catalogue, memory, parts, space
from design_space.validate import validate
from meta_agent import guide
from meta_agent.insights import InsightStore
from meta_agent.proposer import Draft, Order
from meta_agent.search import Search
from meta_agent.story import Storyteller
from meta_agent.untrusted import line, quoted
from sandbox import structured
from sandbox.calls import Line, Message, Models

EXAMPLE = "memento"
NOTE_CHARS = 300
PROBLEM_CHARS = 4_000
INSIGHTS_COUNT, INSIGHTS_CHARS = 6, 4_000
KNOWN = "the archive has a design already that says the very same; change what it does"
Verify = Callable[[Sequence[Design]], list[str]]
"""Puts designs through the contract test; for each what it found, empty if nothing."""


class Plan(structured.Answer):
    finding: str
    plan: str
    name: str


class Edit(structured.Answer):
    search: str
    replace: str


class Written(structured.Answer):
    note: str
    source: str
    edits: tuple[Edit, ...]


@dataclass(slots=True)
class _Work:
    """One proposal in the making.

    Attributes:
        problem: why there is no working design yet; empty once there is.
        ended: nothing further is asked for it.
    """

    order: Order
    line: Line
    messages: list[Message]
    plan: Plan | None = None
    design: Design | None = None
    note: str = ""
    problem: str = "nothing was written"
    ended: bool = False
    repairs: int = field(default=0)

    @property
    def parent(self) -> Design:
        return self.order.parents[0].design


class LLMProposer:
    """Has a model write designs.

    Args:
        max_tokens: of an answer.
        ledger: where what happened is read from.
        verify: see `Verify`.
        repairs: further attempts at a design that does not work; the last one is checked too.
        insights: what the search has learned so far; the nearest are told.
    """

    name = "llm"

    def __init__(
        self,
        models: Models,
        max_tokens: int,
        ledger: Ledger,
        verify: Verify,
        repairs: int,
        recall_chars: int,
        insights: InsightStore | None = None,
    ) -> None:
        self._insights = insights or InsightStore()
        self._models = models
        self._max_tokens = max_tokens
        self._ledger = ledger
        self._verify = verify
        self._repairs = repairs
        self._system = Message("system", system_prompt(recall_chars))

    def propose_all(self, orders: Sequence[Order], search: Search) -> list[Draft]:
        """Return a draft for each order; one whose `problem` is set has no design that works.

        Raises:
            ModelFault: the run must stop.
            SandboxUnavailable: the machine is at fault.
        """
        stories = Storyteller(search, self._ledger)
        works = [self._begin(order, stories, self._learned(order, search)) for order in orders]
        self._plan(works)
        self._write([work for work in works if not work.ended], prompt("write"))
        for repair in range(self._repairs + 1):
            self._check([work for work in works if not work.ended], search)
            open_ = [work for work in works if work.problem and not work.ended]
            if not open_ or repair == self._repairs:
                break
            for work in open_:
                work.repairs += 1
            self._write(open_, None)
        return [self._draft(work) for work in works]

    def selection(self, prompt: str) -> Selection | None:
        return None

    def observe(self, design: Design, score: float | None) -> None:
        """The stories tell it what became of its drafts."""

    def _learned(self, order: Order, search: Search) -> str:
        """The insights that have to do with a parent, as one more part of the story."""
        member = search.population.members[order.parents[0].design.id]
        near = self._insights.nearest(member.slot.draft.note, member.design.name, INSIGHTS_COUNT)
        told = "\n".join(f"* {one.text}: {one.effect.mean:+.3f} ± {one.effect.sd:.3f} reward" for one in near)
        return f"# What was learned in this search\n\n{quoted('insights', told, INSIGHTS_CHARS)}" if near else ""

    def _begin(self, order: Order, stories: Storyteller, learned: str) -> _Work:
        line_ = Line(self._models, order.scope, "meta", self._max_tokens)
        parent, *others = (parent.design.id for parent in order.parents)
        story = "\n\n".join([stories.of(parent), *map(stories.beside, others), *filter(None, [learned])])
        asked = Template(prompt("plan")).substitute(guide=(order.guide or guide.root()).strip(), story=story)
        return _Work(order, line_, [self._system, Message("user", asked)])

    def _plan(self, works: Sequence[_Work]) -> None:
        for work, answer in zip(works, self._ask(works, Plan), strict=True):
            if isinstance(answer, str):
                work.problem, work.ended = f"no plan: {answer}", True
            else:
                work.plan = answer
                work.messages.append(Message("assistant", answer.model_dump_json()))

    def _write(self, works: Sequence[_Work], asked: str | None) -> None:
        for work in works:
            text = asked or Template(prompt("repair")).substitute(
                problem=quoted("problem", work.problem, PROBLEM_CHARS)
            )
            work.messages.append(Message("user", text))
        for work, answer in zip(works, self._ask(works, Written), strict=True):
            if isinstance(answer, str):
                work.problem, work.ended = answer, True
                continue
            work.messages.append(Message("assistant", answer.model_dump_json()))
            work.note = answer.note
            try:
                source = answer.source or edited(work.parent.source, answer.edits)
            except ValueError as error:
                work.problem, work.design = str(error), None
                continue
            name = line(work.plan.name if work.plan else "", 60) or "unnamed"
            work.design = Design(source if source.endswith("\n") else source + "\n", {}, name)
            work.problem = ""

    def _check(self, works: Sequence[_Work], search: Search) -> None:
        """Static checks, novelty, then the contract in the sandbox."""
        for work in works:
            if work.design is not None and not work.problem:
                work.problem = _static(work.design) or ("" if not search.knows(work.design) else KNOWN)
        sound = [work for work in works if work.design is not None and not work.problem]
        designs = [work.design for work in sound if work.design is not None]
        for work, found in zip(sound, self._verify(designs), strict=True):
            work.problem, work.ended = found, not found

    def _ask(self, works: Sequence[_Work], kind: type[structured.T]) -> list[structured.T | str]:
        """What each answers; a text says why it has no answer of that kind."""
        lines, messages = [work.line for work in works], [work.messages for work in works]
        heard = structured.ask_all(self._models, lines, messages, kind)
        return [line(found.problem) if found.answer is None else found.answer for found in heard]

    def _draft(self, work: _Work) -> Draft:
        plan = "" if work.plan is None else work.plan.plan
        note = line(work.note or plan, NOTE_CHARS)
        design = work.design or Design("", {}, "unwritten")
        operator = "rewrite" if work.repairs == 0 else f"rewrite, mended {work.repairs} times"
        parents = tuple(parent.design.id for parent in work.order.parents)
        return Draft(design, parents, self.name, operator, note, work.problem)


def _static(design: Design) -> str:
    return "\n".join(f"line {problem.line}: {problem.message}" for problem in validate(design.source))


def edited(source: str, edits: Sequence[Edit]) -> str:
    """The source with edits applied one after the other.

    Raises:
        ValueError: there are none, or one does not fit exactly once.
    """
    if not edits:
        raise ValueError("neither `source` nor `edits` was given")
    for place, edit in enumerate(edits, 1):
        count = source.count(edit.search) if edit.search else 0
        if count != 1:
            raise ValueError(
                f"edit {place}: its `search` occurs {count} times in the parent's source, wanted exactly once;"
                " give the whole module as `source` instead"
            )
        source = source.replace(edit.search, edit.replace)
    return source


def system_prompt(recall_chars: int) -> str:
    """What a design is, what it may use, and one that works."""
    return Template(prompt("system")).substitute(
        interface=f"```python\n{inspect.getsource(memory)}\n{inspect.getsource(space)}```",
        parts="\n".join(_described(getattr(parts, name)) for name in parts.__all__),
        example=f"```python\n{catalogue.load(EXAMPLE).source}```",
        recall_chars=recall_chars,
    )


def prompt(name: str) -> str:
    """The text of one of the prompts."""
    return (Path(__file__).parent / "prompts" / f"{name}.md").read_text(encoding="utf-8")


def _described(part: type) -> str:
    first = (inspect.getdoc(part) or "").partition("\n")[0]
    return f"* `{part.__name__}{inspect.signature(part)}`: {first}"
