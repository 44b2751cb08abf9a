"""The commands that show what a search has learned of itself, also while it goes on: its prompts and insights."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text
from rich.tree import Tree

from meta_agent.errors import BadInput
from meta_agent.terminal import RUNS, AsJson, RunName, Runs, out, print_json, say

if TYPE_CHECKING:  # what reads an archive takes a second to import: only in the command that needs it
    from archive.search_view import PromptView, SearchView

Which = Annotated[str, typer.Argument(help="a prompt: its id, or the beginning of it")]


def prompts(name: RunName, runs: Runs = RUNS, as_json: AsJson = False) -> None:
    """The prompts that steered the proposers of a run, as a tree, and what each is worth."""
    found = _learned(name, runs).prompts
    if as_json:
        print_json([dataclasses.asdict(prompt) for prompt in found])
        return
    if not found:
        say("This run has no prompts.", out)
        return
    trees: list[Tree] = []
    branches: list[Tree] = []
    for prompt in found:
        failures = f"{_told(prompt.failures)} came to nothing"
        counts = f"{len(prompt.designs)} designs, {_told(prompt.visits)} measured, {failures}"
        told = f"{prompt.short} {prompt.says}\n{_value(prompt)}; {counts}; made after generation {prompt.generation}"
        if prompt.depth == 0:
            branches = [Tree(Text(f"prompts of the proposer {prompt.proposer}"))]
            trees.append(branches[0])
        del branches[prompt.depth + 1 :]
        branches.append(branches[-1].add(Text(told)))
    for tree in trees:
        out.print(tree)


def prompt(name: RunName, which: Which, runs: Runs = RUNS, as_json: AsJson = False) -> None:
    """One prompt: what it says, where it comes from, what it is worth, and the designs that it made."""
    from meta_agent.learned import learned
    from meta_agent.opened import opened

    with opened(name, runs) as run:
        one = _find(learned(run.ledger).prompts, which)
        made = [design for design in run.view.designs if design.id in {made.id for made in one.designs}]
    if as_json:
        gains = [
            {"id": d.id, "name": d.name, "gain": None if d.gain is None else dataclasses.asdict(d.gain)} for d in made
        ]
        print_json({**dataclasses.asdict(one), "designs": gains})
        return
    say(f"{one.id}  {one.says}", out, style="bold")
    say(f"steers {one.proposer}; made after generation {one.generation}: {one.origin}", out)
    say(f"parent: {one.parent or 'none, it is the first one'}; children: {', '.join(one.children) or 'none'}", out)
    say(f"value of a design: {_value(one)}", out)
    if one.visits is not None:
        counts = f"{one.visits} designs, {one.failures} came to nothing"
        say(f"measured: {counts}; {one.beneath} with those of all made of it", out)
    for design in made:
        gain = "not compared with its parent" if design.gain is None else design.gain.words
        say(f"- {design.short} {design.name}: {gain}", out)
    say("", out)
    say(one.content, out)


def insights(
    name: RunName,
    runs: Runs = RUNS,
    as_json: AsJson = False,
    count: Annotated[int, typer.Option("--count", min=1, help="insights that are listed, the surest first")] = 20,
) -> None:
    """What a run has learned of what helps and what does harm, the surest first."""
    found = _learned(name, runs).insights
    shown = found[:count]
    if as_json:
        print_json([dataclasses.asdict(insight) for insight in shown])
        return
    if not found:
        say("This run has no insights.", out)
        return
    for insight in shown:
        claim = "helps" if insight.helps else "harms"
        say(f"{insight.text}; where: {insight.situation or 'everywhere'}", out)
        where_from = f" in {insight.origin}" if insight.origin else ""
        confirmed = f"confirmed{where_from} in generation {insight.confirmed}"
        say(
            f"  is worth {insight.effect}; {claim}: {insight.right:.0%} sure; {insight.streams} streams; {confirmed}",
            out,
        )
    if len(found) > count:
        say(f"{len(found) - count} more; --count shows them")


def _learned(name: str, runs: Runs) -> SearchView:
    from meta_agent.learned import learned
    from meta_agent.run import find

    with find(name, runs).open_ledger() as ledger:
        return learned(ledger)


def _find(prompts: Sequence[PromptView], which: str) -> PromptView:
    """The prompt of this id or beginning of one.

    Raises:
        BadInput: there is none, or more than one.
    """
    from archive.plain import plain

    wanted, what = which.strip().lower(), repr(plain(which, 80))
    if not prompts:
        raise BadInput(f"no prompt {what}: this run has no prompts")
    fitting = [prompt for prompt in prompts if wanted and prompt.id.startswith(wanted)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        listed = ", ".join(prompt.id for prompt in fitting[:5])
        raise BadInput(f"{what} fits {len(fitting)} prompts: {listed}", "give more of the id")
    near = difflib.get_close_matches(wanted[:80], [prompt.id for prompt in prompts], 3, 0.4) or [prompts[0].id]
    raise BadInput(f"no prompt {what}", f"did you mean {', '.join(near)}? `mnemogen prompts` lists them")


def _value(prompt: PromptView) -> str:
    return "not told yet" if prompt.value is None else str(prompt.value)


def _told(count: int | None) -> str:
    return "-" if count is None else str(count)
