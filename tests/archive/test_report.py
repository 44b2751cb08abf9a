"""Claims about the summaries of a run and its page, on real ledgers and repositories."""

from __future__ import annotations

import errno
import json
import os
import random
import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive import episodes, plain, task_grid, views
from archive.call_book import CallBook, CallRow
from archive.card import Card
from archive.errors import ArchiveDamaged, ArchiveFull, ArchiveUnwritable, UnknownDesign
from archive.figures import label, score_figure
from archive.ledger import Ledger
from archive.overview import overview
from archive.page import script_safe, write_page
from archive.records import Decision, DesignRow, DesignStatus, Proposal, ProposalVerdict, Purpose
from archive.report import NOTHING, render, write
from archive.repository import Repository
from archive.search_book import PromptRow, SearchBook
from archive.search_view import STANDING, InsightView, SearchView, prompts_of
from archive.statistics import Interval, Verdict
from design_space import Design, DesignId, Evaluation, EvaluationKey, Outcome

CONFIG = "generations: 3\nmodel: none\n"
HOSTILE = [
    "<script>alert(1)</script>",
    "</script><img src=http://evil.example/x onerror=alert(1)>",
    "<a href='javascript:alert(1)'>x</a>",
    "]]><!--<script>",
    "\x1b[2J\x1b]0;pwned\x07red\x1b[31m",
    "\u202egnp.exe\u200b\u2066",
    "{{ 7 * 7 }}{% include 'x' %}",
    '" onmouseover="alert(1)" x="',
    "<b>%{y}</b>&lt;i&gt;&#60;u&#62;",
    "Z\u0310\u0311\u0312\u0313\u0314\u0315a\u3164l\ufe0fgo",
    "\ud800 lone\x00nul\u2028line",
]


@dataclass
class Run:
    """Builds a run through the real interfaces."""

    folder: Path
    ledger: Ledger
    repository: Repository
    designs: list[DesignRow] = field(default_factory=list)

    def add(
        self,
        name: str,
        parents: Sequence[DesignId] = (),
        *,
        source: str = "",
        operator: str = "mutate",
        note: str = "",
        status: DesignStatus = DesignStatus.VALID,
        reason: str = "",
    ) -> DesignId:
        (id_,) = self.add_many([(name, parents, source, operator, note, status, reason)])
        return id_

    def add_many(
        self, given: Sequence[tuple[str, Sequence[DesignId], str, str, str, DesignStatus, str]]
    ) -> list[DesignId]:
        entries, shapes = [], []
        for name, parents, source, operator, note, status, reason in given:
            place = len(self.designs) + len(entries)
            design = Design(source or f"class M{place}(Memory):\n    size = {place}\n", name=name)
            card = Card.of(
                design, sequence=place, generation=place // 5, parents=tuple(parents), operator=operator, note=note
            )
            entries.append((card, design))
            shapes.append((status, reason, operator, name))
        rows = [
            DesignRow(
                card.id,
                card.sequence,
                name,
                done.commit,
                card.generation,
                parents=card.parents,
                proposer="compose",
                operator=operator,
                status=status,
                reason=reason,
            )
            for (card, _), done, (status, reason, operator, name) in zip(
                entries, self.repository.commit(entries), shapes, strict=True
            )
        ]
        proposals = [
            Proposal(row.sequence, row.generation, row.sequence % 5, row.id, ProposalVerdict.NEW) for row in rows
        ]
        self.ledger.record_generation(designs=rows, proposals=proposals)
        self.designs += rows
        return [row.id for row in rows]

    def earn(
        self,
        design: DesignId,
        level: float,
        streams: int,
        *,
        purpose: Purpose = Purpose.SEARCH,
        split: str = "search",
        outcome: Outcome = Outcome.SCORED,
        detail: str = "",
        episodes: Sequence[bytes] = (),
        tasks: int = 6,
    ) -> None:
        for number in range(streams):
            key = EvaluationKey(design, f"house/{split}/{number}", split, 0, "online", "evidence", 1, "g", "c")
            chance = random.Random(f"{design} {split} {number}")
            ease = random.Random(f"{split} {number}").uniform(-0.1, 0.1)
            rewards = tuple(min(1.0, max(0.0, chance.gauss(level + ease, 0.08))) for _ in range(tasks))
            evaluation = Evaluation(
                key, outcome, rewards, (4,) * tasks, detail, 1.0 + level, 0.5, int(900 + 5000 * level),
                int(200 + 2000 * level), 3, 100, "embedded",
            )  # fmt: skip
            self.ledger.record_evaluation(evaluation, purpose, episodes if number == 0 else ())

    def page(self, learned: SearchView = NOTHING) -> str:
        return render(self.ledger, self.repository, "kitchen nights", CONFIG, learned)


@contextmanager
def new_run(folder: Path) -> Iterator[Run]:
    folder.mkdir(exist_ok=True)
    with Ledger(folder / "ledger.sqlite") as ledger:
        yield Run(folder, ledger, Repository(folder / "designs.git"))


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with new_run(tmp_path) as made:
        yield made


def episode(**changes: object) -> bytes:
    item = {"id": "i1", "text": "knife is in drawer", "situation": "", "action": "open drawer", "value": 0.9}
    step = {"situation": "kitchen", "action": "open drawer", "observation": "a knife", "reward": 1.0, "recall": [0]}
    stored = {"added": ["drawer holds knife"], "removed": [], "count": 4}
    content = {
        "goal": "find the knife", "reward": 1.0, "steps": [step], "before": [0], "items": [item], "stored": stored,
    }  # fmt: skip
    return json.dumps(content | changes).encode()


def search(run: Run) -> tuple[DesignId, ...]:
    """A small search: two controls, a root, an improving line, failures, a crossover."""
    null = run.add("no_memory", operator="given")
    chance = run.add("random_recall", operator="given")
    root = run.add("trajectories", operator="given")
    middle = run.add("keyed", [root], note="keys differ from payloads")
    best = run.add("keyed-credit", [middle, root], operator="crossover", source="class Best(Memory):\n    k = '<5>'\n")
    crashed = run.add("broken", [root])
    invalid = run.add("refused", [root], status=DesignStatus.INVALID, reason="imports os")
    for control, level in ((null, 0.15), (chance, 0.2)):
        run.earn(control, level, 8, purpose=Purpose.CONTROL)
        run.earn(control, level, 10, purpose=Purpose.CONTROL, split="validation")
    for design, level in ((root, 0.3), (middle, 0.5), (best, 0.75)):
        run.earn(design, level, 8, episodes=[episode()])
        run.earn(design, level - 0.03, 10, purpose=Purpose.VALIDATION, split="validation")
    run.earn(crashed, 0.0, 2, outcome=Outcome.CRASHED, detail="ZeroDivisionError")
    run.ledger.record_generation(
        proposals=[
            Proposal(100, 2, 0, best, ProposalVerdict.DUPLICATE),
            Proposal(101, 2, 1, None, ProposalVerdict.INVALID, reason="prose"),
        ],
        decisions=[Decision(1, "parent", "Thompson: drew .61", best), Decision(1, "promote", "top third", best)],
    )
    return null, chance, root, middle, best, crashed, invalid


class Page(HTMLParser):
    """What a browser would see: elements with their attributes, text outside scripts, scripts."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.scripts: list[str] = []
        self.stack: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")
        if tag in ("script", "style"):
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.stack and self.stack[-1] == tag:
            self.stack.pop()

    def handle_data(self, data: str) -> None:
        if self.stack:
            if self.stack[-1] == "script":
                self.scripts[-1] += data
        else:
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())

    def figures(self) -> dict[str, dict]:
        found = [(attributes, n) for n, (tag, attributes) in enumerate(e for e in self.elements if e[0] == "script")]
        return {
            str(attributes["id"]): json.loads(self.scripts[n])
            for attributes, n in found
            if attributes.get("type") == "application/json"
        }


# -- summaries


def lineage(run: Run, who: str) -> views.LineageView:
    told = overview(run.ledger, run.repository)
    return views.lineage_of(told, told.find(who))


def test_overview_counts_what_happened(run: Run) -> None:
    null, chance, _, _, best, crashed, invalid = search(run)
    told = overview(run.ledger, run.repository)
    assert (told.tried, told.invalid, told.duplicates, told.failed) == (9, 2, 1, 1)
    assert told.failures == (views.OutcomeCount(Outcome.CRASHED, 2),)
    assert told.evaluations == 2 * 18 + 3 * 18 + 2 == told.spent.evaluations
    assert told.best is not None
    assert told.best.id == best
    assert [control.id for control in told.controls] == [null, chance]
    assert all(control.rank is None for control in told.controls)
    assert [design.rank for design in told.ranked] == [1, 2, 3, 4]
    assert told.ranked[-1].id == crashed
    assert told.ranked[-1].score is not None
    assert told.ranked[-1].score.n == 2
    assert told.find(invalid).rank is None
    assert told.find(invalid).fate == "invalid"


def test_comparisons_use_fresh_streams_and_name_the_controls(run: Run) -> None:
    _, _, root, middle, _, _, _ = search(run)
    told = overview(run.ledger, run.repository)
    by_label = {gain.label: gain for gain in told.comparisons}
    assert {"no memory", "random recall", "its parent"} == set(by_label)
    assert {gain.over for gain in told.comparisons if gain.label == "its parent"} == {middle, root}
    assert all((gain.split, gain.interval.n) == ("validation", 10) for gain in told.comparisons)
    assert by_label["no memory"].verdict is Verdict.BETTER
    assert by_label["no memory"].words.startswith("better than no memory (no_memory): +.")
    assert told.gap is not None
    assert told.gap.low < 0.03 < told.gap.high


def test_one_stream_says_nothing_of_the_gap(run: Run) -> None:
    best = run.add("alone")
    run.earn(best, 1.0, 1)
    run.earn(best, 0.0, 1, purpose=Purpose.VALIDATION, split="validation")
    gap = overview(run.ledger, run.repository).gap
    assert gap is not None
    assert (gap.low, gap.high, gap.n) == (-1.0, 1.0, 1)


def test_gain_compares_only_evaluations_that_differ_in_nothing_but_the_design(run: Run) -> None:
    parent = run.add("parent")
    child = run.add("child", [parent])
    for design, order, reward in ((parent, 0, 0.5), (parent, 1, 0.9), (child, 0, 0.6)):
        for number in range(2):
            key = EvaluationKey(design, f"s{number}", "search", order, "online", "a", 1, "g", "c")
            run.ledger.record_evaluation(Evaluation(key, Outcome.SCORED, (reward,), (1,)), Purpose.SEARCH)
    gain = overview(run.ledger, run.repository).find(child).gain
    assert gain is not None
    assert gain.interval.mean == pytest.approx(0.1)
    assert gain.interval.n == 2


def test_the_runs_own_label_and_winner_count(run: Run) -> None:
    _, _, root, middle, best, _, _ = search(run)
    assert overview(run.ledger, run.repository).find(best).why[-1] == "promote in generation 1: top third"
    run.ledger.record_decisions(
        [
            Decision(1, "label", "on fresh streams", best, {"verdict": "better", "parent": middle}),
            Decision(2, "winner", "cheapest of those not told apart", middle),
        ]
    )
    told = overview(run.ledger, run.repository)
    gain = told.find(best).gain
    assert gain is not None
    assert (gain.verdict, gain.split, gain.over) == (Verdict.BETTER, "validation", middle)
    assert [step.id for step in told.line] == [best]
    unlabelled = told.find(middle).gain
    assert unlabelled is not None
    assert (unlabelled.verdict, unlabelled.split) == (Verdict.UNDECIDED, "search"), "these streams chose the parent"
    assert told.best is not None
    assert told.best.id == middle
    assert "parent keyed, trajectories in generation 1: Thompson: drew .61" in told.find(best).why
    assert root in {ancestor.id for ancestor in lineage(run, best).ancestors}


def test_equal_designs_are_not_called_better(tmp_path: Path) -> None:
    claims = 0
    for world in range(5):
        with new_run(tmp_path / str(world)) as run:
            root = run.add(f"root {world}")
            blank = DesignStatus.VALID
            children = run.add_many(
                [(f"c{n}", [root], f"w = {world}\nn = {n}", "mutate", "", blank, "") for n in range(40)]
            )
            for design in (root, *children):
                run.earn(design, 0.5, 5)
            told = overview(run.ledger, run.repository)
            claims += sum(d.gain is not None and d.gain.verdict is Verdict.BETTER for d in told.designs)
    assert claims <= 1


def test_rank_shrinks_a_lucky_score_on_one_stream(run: Run) -> None:
    root = run.add("root")
    chance = random.Random(4)
    levels = {root: 0.4} | {run.add(f"other {n}", [root]): 0.4 for n in range(6)}
    steady, lucky = run.add("steady", [root]), run.add("lucky", [root])
    levels |= {steady: 0.6, lucky: 0.62}
    for design, level in levels.items():
        for number in range(1 if design == lucky else 8):
            noise = 0.0 if design == lucky else (0.15 if (number + chance.randrange(2)) % 2 else -0.15)
            key = EvaluationKey(design, f"s{number}", "search", 0, "online", "a", 1, "g", "c")
            run.ledger.record_evaluation(Evaluation(key, Outcome.SCORED, (level + noise,), (1,)), Purpose.SEARCH)
    told = overview(run.ledger, run.repository)
    assert told.best is not None
    assert told.best.id == steady
    assert told.find(lucky).believed is not None


def test_designs_are_found_by_id_prefix_and_name(run: Run) -> None:
    *_, best, crashed, _ = search(run)
    for who in (best, best[:6], "keyed-credit", "KEYED-CREDIT"):
        assert overview(run.ledger, run.repository).find(who).id == best
    with pytest.raises(UnknownDesign, match=r"did you mean .*keyed-credit"):
        overview(run.ledger, run.repository).find("keyed-credt")
    with pytest.raises(UnknownDesign, match="no design"):
        overview(run.ledger, run.repository).find("")
    run.add("broken")
    with pytest.raises(UnknownDesign, match=f"fits 2 designs: .*{crashed}"):
        overview(run.ledger, run.repository).find("broken")


def test_lineage_lists_each_ancestor_once_and_the_children(run: Run) -> None:
    _, _, root, middle, best, crashed, invalid = search(run)
    told = lineage(run, best)
    assert [ancestor.id for ancestor in told.ancestors] == [middle, root]
    children = lineage(run, root).children
    assert [child.id for child in children] == [middle, best, crashed, invalid]


def test_task_grid_holds_whole_streams_only(run: Run) -> None:
    search(run)
    told = overview(run.ledger, run.repository)
    grid = task_grid.task_grid(run.ledger, told.ranked, columns=20)
    assert len(grid.streams) == 18
    assert grid.positions == tuple(range(6)) * 3
    assert grid.rewards[0][0] is not None
    crashed = grid.rewards[-1]
    assert crashed.count(None) == 18 - 12


# -- text


@given(st.text(st.characters(exclude_categories=())), st.integers(1, 60))
def test_plain_text_is_one_printable_bounded_line(text: str, limit: int) -> None:
    shown = plain.plain(text, limit)
    assert len(shown) <= limit
    assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in shown)


@given(st.text(st.characters(exclude_categories=())))
def test_plain_lines_keep_lines_and_show_what_was_hidden(text: str) -> None:
    shown = plain.plain_lines(text)
    assert shown.count("\n") == text.replace("\r\n", "\n").count("\n")
    assert all(c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in shown)


def test_plain_text_removes_escape_sequences_whole() -> None:
    assert plain.plain("\x1b[2J\x1b]0;pwned\x07red\x1b[31m!") == "red !"
    assert plain.plain("\u202eabc\u200b\u3164d") == "abc d"
    assert plain.plain("x" * 100, 10) == "xxxxxxxxx…"
    assert plain.plain_lines("a\u202eb") == "a\ufffdb"


def test_figure_labels_and_scripts_hold_no_markup() -> None:
    for text in HOSTILE:
        assert not set("<>") & set(label(text))
    safe = script_safe(json.dumps("</script><!--&\u2028"))
    assert not set("<>&\u2028") & set(safe)
    assert json.loads(safe) == "</script><!--&\u2028"


# -- episodes


def test_episode_is_parsed_and_its_items_found() -> None:
    told = episodes.parse_episode(episode(), "episode 0")
    assert told.shown[0].text == "knife is in drawer"
    assert told.recalled(told.steps[0].recall) == told.shown
    assert told.stored == episodes.StoredView(("drawer holds knife",), (), 4)
    assert episodes.parse_episode(episode(stored=None, reward=None), "episode 0").stored is None
    assert episodes.parse_episode(episode(goal="\x1b[31mred"), "episode 0").goal == "\ufffd[31mred"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"[" * 100_000,
        b'{"goal": "\xff"}',
        episode(extra=1),
        episode(reward="1"),
        episode(before=[1]),
        episode(before=[-1]),
        episode(before=[True]),
        episode(items=[{}]),
        episode(steps=None),
        episode(reward=float("nan")),
    ],
)
def test_malformed_episode_is_an_error_that_names_it(content: bytes) -> None:
    with pytest.raises(ArchiveDamaged, match="episode 3 of") as caught:
        episodes.parse_episode(content, "episode 3 of evaluation x")
    assert caught.value.damaged == "episode 3 of evaluation x"


# -- the page


def test_page_holds_the_answer_and_its_parts(run: Run) -> None:
    *_, best, _, invalid = search(run)
    page = Page(run.page())
    told = overview(run.ledger, run.repository)
    assert told.best is not None
    for expected in (
        "kitchen nights",
        "keyed-credit",
        best,
        "mnemogen export",
        "its parent keyed",
        "its parent trajectories",
        "random recall",
        "Better than",
        "designs tried",
        "duplicates",
        plain.told_score(told.best.validation),
        "Thompson: drew .61",
        "model: none",
        "1. reward 1.000",
        "drawer holds knife",
        "imports os",
        "class Best(Memory):",
        "k = '<5>'",
    ):
        assert expected in page.words, expected
    assert set(page.figures()) == {"figure-scores", "figure-lineage", "figure-tasks", "figure-gap", "figure-costs"}
    assert sum("!function" in script or "Plotly" in script[:5000] for script in page.scripts) >= 1
    assert f"r-{invalid}" in {attributes.get("id") for _, attributes in page.elements}


def test_page_loads_nothing(run: Run) -> None:
    search(run)
    page = Page(run.page())
    for tag, attributes in page.elements:
        assert tag not in ("link", "iframe", "img", "object", "embed", "base")
        for name in ("src", "href", "action", "data", "srcset"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)
    policy = next(a["content"] for t, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert policy.count("'sha256-") == 2
    assert not re.search(r"url\(\s*['\"]?http", next(re.finditer(r"<style>.*?</style>", run.page(), re.S)).group())


def test_every_score_has_an_interval_and_n(run: Run) -> None:
    search(run)
    page = run.page()
    for found in re.finditer(r'<span class="mean">[^<]*</span>', page):
        after = page[found.end() : found.end() + 120]
        assert re.match(r'\s*<span class="ci">\[[^<]+, [^<]+\]</span>\s*<span class="n">n=\d+</span>', after), after
    figure = score_figure(overview(run.ledger, run.repository))
    assert figure is not None
    for text in figure.data[0].hovertext:
        assert re.search(r"search \.\d{3} \[.*\] n=\d+", text)


def test_hostile_text_is_only_text(run: Run) -> None:
    parents: list[DesignId] = []
    for text in HOSTILE:
        design = run.add(text, parents[-1:], operator=text, note=text, source=f"x = {text!r}\n# {text}\n", reason=text)
        run.earn(
            design, 0.5, 2, outcome=Outcome.CRASHED, detail=text, episodes=[episode(goal=text.replace("\ud800", ""))]
        )
        run.ledger.record_decisions([Decision(0, text[:30], text, design)])
        parents.append(design)
    html = render(run.ledger, run.repository, HOSTILE[0], "\n".join(HOSTILE), taught(run, HOSTILE))
    page = Page(html)
    html.encode("utf-8")
    clean = Page(render_of_plain_run(run.folder / "plain"))
    assert {tag for tag, _ in page.elements} <= {tag for tag, _ in clean.elements} | {"ul", "li"}
    assert sum(tag == "script" for tag, _ in page.elements) == len(page.figures()) + 2
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")]
        assert "javascript:" not in (attributes.get("href") or "")
    assert "<script>alert(1)</script>" in page.words
    assert "{{ 7 * 7 }}" in page.words
    written = html.replace(max(page.scripts, key=len), "")
    assert not [c for c in written if c not in "\n\t" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    for figure in page.figures().values():
        for text in strings(figure):
            assert not re.search(r"<(?!/?b>|br>)", text), text


def render_of_plain_run(folder: Path) -> str:
    with new_run(folder) as run:
        search(run)
        return run.page(taught(run, ["the first prompt", "look closer"]))


def taught(run: Run, texts: Sequence[str]) -> SearchView:
    """Prompts, each made of the one before it, and insights that say what is given."""
    rows = [
        PromptRow(f"p{n}", f"p{n - 1}" if n else None, n, text, text, {"proposer": text})
        for n, text in enumerate(texts)
    ]
    with SearchBook(run.ledger.path) as book:
        book.record_prompts(rows)
    known = {"visits": 4, "failures": 1, "beneath": 6, "mean": 0.01, "sd": 0.02}
    run.ledger.set_meta(STANDING, json.dumps({"p0": known}))
    effect = Interval(0.02, -0.03, 0.07, 2)
    insights = [
        InsightView(f"i{n}", plain.plain(text), plain.plain(text), True, 0.8, effect, 6, 1, 3, plain.plain(text))
        for n, text in enumerate(texts)
    ]
    return SearchView(prompts_of(run.ledger, rows, {row.id: row.content for row in rows}), tuple(insights))


def test_the_page_shows_the_prompts_as_a_tree_and_the_insights(run: Run) -> None:
    *_, best, _, _ = search(run)
    bare = Page(run.page())
    assert not {"Prompts", "Insights"} & set(bare.words.split())
    run.ledger.record_decisions([Decision(1, "prompt", "made by prompt p1", best, {"prompt": "p1"})])
    page, dash = Page(run.page(taught(run, ["the first prompt", "look closer"]))), "\N{EN DASH}"
    assert "the first prompt 4 1 +0.010 [-0.029, +0.049] n=4" in page.words
    assert f"look closer look closer {dash} {dash} {dash} {best[:8]} 1" in page.words
    assert "look closer look closer +0.020 [-0.030, +0.070] n=2 helps 80 % 6 3 look closer" in page.words
    assert ("a", {"class": "id", "href": f"#r-{best}", "title": "keyed-credit"}) in page.elements
    nodes = [trace for trace in page.figures()["figure-prompt-tree"]["data"] if trace["mode"] == "markers"]
    assert [trace["customdata"] for trace in nodes] == [["p0"], ["p1"]]
    assert {"r-p0", "r-p1"} <= {attributes.get("id") for _, attributes in page.elements}


def strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


def test_empty_run_renders(run: Run) -> None:
    told = overview(run.ledger, run.repository)
    assert (told.best, told.designs, told.tried) == (None, (), 0)
    page = Page(run.page())
    assert "This run has no designs yet." in page.words
    assert page.figures() == {}


def test_run_without_a_winner_renders(run: Run) -> None:
    run.add("refused", status=DesignStatus.INVALID, reason="imports os")
    run.add("waiting")
    control = run.add("no memory")
    run.earn(control, 0.2, 1, purpose=Purpose.CONTROL)
    page = Page(run.page())
    assert "No design has been scored yet." in page.words
    assert "not evaluated" in page.words
    assert "figure-lineage" in page.figures()


def test_winner_on_one_stream_claims_nothing(run: Run) -> None:
    null, only = run.add("no_memory"), run.add("only")
    run.earn(null, 0.1, 1, purpose=Purpose.CONTROL)
    run.earn(only, 0.9, 1)
    page = Page(run.page())
    assert "Not told apart from no memory" in page.words
    assert "It has no score on fresh streams yet" in page.words
    assert "[.000, 1.000] n=1" in page.words
    assert "inf" not in page.words.lower().replace("infl", "")


def test_unreadable_episode_is_told_on_the_page(run: Run) -> None:
    design = run.add("only")
    run.earn(design, 0.9, 2, episodes=[b"{}"])
    assert "episode 0 of evaluation" in Page(run.page()).words


def test_page_is_replaced_whole(run: Run, tmp_path: Path) -> None:
    search(run)
    target = write(run.ledger, run.repository, tmp_path / "out" / "report.html", "first", CONFIG)
    assert "first" in target.read_text("utf-8")
    assert write(run.ledger, run.repository, target, "second", CONFIG) == target
    assert "second · Mnemogen" in target.read_text("utf-8")
    assert [path.name for path in target.parent.iterdir()] == ["report.html"]
    with pytest.raises(ArchiveUnwritable, match="cannot write the page"):
        write(run.ledger, run.repository, target / "below", "third", CONFIG)


def test_a_page_takes_the_place_of_no_link_and_of_nothing_but_a_file(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("old")
    (tmp_path / "link.html").symlink_to("page.html")
    write_page("new", tmp_path / "link.html")
    assert (tmp_path / "link.html").is_symlink()
    assert (tmp_path / "page.html").read_text() == "new"
    os.mkfifo(tmp_path / "pipe")
    for odd in ("pipe", "."):
        with pytest.raises(ArchiveUnwritable, match="that is no file"):
            write_page("new", tmp_path / odd)
    assert (tmp_path / "pipe").is_fifo()
    (tmp_path / "round").symlink_to("round")
    with pytest.raises(ArchiveUnwritable, match="round"):
        write_page("new", tmp_path / "round")


def test_a_page_on_a_full_disk_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(ArchiveFull, match="the disk is full"):
        write_page("new", tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_a_score_is_told_within_what_scores_can_be() -> None:
    assert plain.told_score(Interval(0.9, 0.7, 1.1, 3)) == ".900 [.700, 1.000] n=3"


def test_page_is_the_same_from_a_read_only_run(run: Run) -> None:
    search(run)
    with Ledger(run.ledger.path, read_only=True) as ledger:
        repository = Repository(run.repository.folder, read_only=True)
        assert render(ledger, repository, "kitchen nights", CONFIG) == run.page()


def test_three_hundred_designs_take_less_than_five_seconds(run: Run) -> None:
    root = run.add("root")
    blank = DesignStatus.VALID
    children = run.add_many([(f"design {n}", [root], "", "mutate", "", blank, "") for n in range(299)])
    for design in (root, *children):
        run.earn(design, 0.5, 4)
    before = os.times()
    page = Page(run.page())
    assert sum(os.times()[:4]) - sum(before[:4]) < 5.0  # processor time, git's included: others share the machine
    assert "The first 50 of 300 ranked designs" in page.words
    assert sum(tag == "details" and "id" in attributes for tag, attributes in page.elements) == 50
    assert sum(tag == "tr" and (a.get("id") or "").startswith("r-") for tag, a in page.elements) == 300


def test_the_page_says_what_each_model_cost_in_each_role(run: Run) -> None:
    search(run)
    assert "Models" not in Page(run.page()).words
    call = CallRow("s", "agent", 0, "c", HOSTILE[0], "answered", charged_calls=3, charged_tokens=4_200, dollars=None)
    with CallBook(run.folder / "ledger.sqlite") as book:
        book.write([call, replace(call, role="meta", dollars=0.5, charged_nanodollars=500_000_000)])
    page = Page(run.page())
    assert "agent <script>alert(1)</script> 3 4,200 price not known" in page.words
    assert "meta <script>alert(1)</script> 3 4,200 0.5000" in page.words
