"""The report's figures. Whatever a design or a model wrote goes through `label` before it stands in one.

Colours are mid-tones that read on light and dark paper; ink and grid are coloured by the page.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from archive.plain import number, plain, told_score
from archive.search_view import PromptView
from archive.statistics import Interval
from archive.task_grid import TaskGrid
from archive.views import DesignView, RunView, control_name, lineage_of

BLUE, AMBER, GREEN, RED, GREY, VIOLET = "#4a8fe7", "#e0912f", "#2fa37c", "#d65a63", "#8b95a5", "#9a7bd6"
SCALE = [[0.0, "#6b4fa0"], [0.35, "#3f7fbf"], [0.65, "#2fa37c"], [1.0, "#e8c547"]]
_LABEL_LIMIT = 60


def label(text: str, limit: int = _LABEL_LIMIT) -> str:
    """Return untrusted text for a figure: Plotly reads tags and entities in every text, so none is left."""
    return plain(text, limit).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def score_figure(run: RunView) -> go.Figure | None:
    """Score of each design over the streams that were spent by then, the best by posterior mean so far, the controls.

    None if nothing was scored.
    """
    scored = sorted((d for d in run.designs if d.score is not None and not d.control), key=lambda d: d.sequence)
    if not scored:
        return None
    figure = base_figure("search streams spent, in the order of asking", "mean reward on search streams")
    spent, places = 0, []
    for design in scored:
        spent += design.score.n if design.score else 0
        places.append(spent)
    best_places: list[int] = []
    best: list[float] = []
    hover: list[str] = []
    for place, design in zip(places, scored, strict=True):
        if design.believed and design.rank is not None and (not best or design.believed.mean > best[-1]):
            best_places.append(place)
            best.append(design.believed.mean)
            hover.append(f"best so far: {_hover(design)}")
    figure.add_trace(_points(scored, places, [d.score for d in scored], "design, 95 % interval"))
    if best:
        figure.add_trace(
            go.Scatter(
                x=[*best_places, spent],
                y=[*best, best[-1]],
                mode="lines",
                name="best by posterior mean",
                line={"shape": "hv", "color": AMBER, "width": 3},
                hovertext=[*hover, hover[-1]],
                hoverinfo="text",
            )
        )
    for control, colour in zip([c for c in run.controls if c.score], (RED, VIOLET, GREEN, GREY), strict=False):
        name = f"{label(control_name(control.name), 30)} {told_score(control.score)}"
        mean = control.score.mean if control.score else 0.0
        figure.add_trace(
            go.Scatter(
                x=[0, spent],
                y=[mean, mean],
                mode="lines",
                name=name,
                line={"dash": "dash", "color": colour, "width": 2},
                hovertext=[name, name],
                hoverinfo="text",
            )
        )
    return figure


def lineage_figure(run: RunView) -> go.Figure | None:
    """Every design as a node, a line to each of its parents; None if there is none."""
    designs = sorted(run.designs, key=lambda d: d.sequence)
    if not designs:
        return None
    lanes = _lanes([(design.id, design.parents) for design in designs])
    known = {design.id: design for design in designs}
    path = {run.best.id, *(d.id for d in lineage_of(run, run.best).ancestors)} if run.best else set()
    figure = base_figure("place in the order of asking", "")
    edges: dict[str, list[tuple[DesignView, DesignView]]] = defaultdict(list)
    for design in designs:
        for place, parent in enumerate(p for p in design.parents if p in known):
            kind = "ancestry of the best" if {design.id, parent} <= path else "parent" if place == 0 else "other parent"
            edges[kind].append((known[parent], design))
    looks = {
        "other parent": {"color": GREY, "width": 1, "dash": "dot"},
        "parent": {"color": GREY, "width": 1},
        "ancestry of the best": {"color": AMBER, "width": 3},
    }
    for kind, look in looks.items():
        if not edges[kind]:
            continue
        xs: list[float | None] = []
        ys: list[float | None] = []
        for parent_view, child in edges[kind]:
            a, b = lanes[parent_view.id], lanes[child.id]
            xs += [parent_view.sequence, min(parent_view.sequence + 1, child.sequence), child.sequence, None]
            ys += [a, b if child.sequence > parent_view.sequence + 1 else a, b, None]
        figure.add_trace(go.Scatter(x=xs, y=ys, mode="lines", name=kind, line=look, hoverinfo="skip"))
    scored = [d for d in designs if d.score is not None]
    others = [d for d in designs if d.score is None]
    symbols = {True: "star", False: "circle"}
    if others:
        figure.add_trace(_nodes(others, lanes, "invalid or not evaluated", {"color": GREY, "symbol": "x-thin-open"}))
    if scored:
        marker = {
            "color": [d.score.mean if d.score else None for d in scored],
            "colorscale": SCALE,
            "colorbar": {"title": {"text": "score"}, "thickness": 12, "outlinewidth": 0},
            "symbol": [
                "diamond" if d.control else symbols[run.best is not None and d.id == run.best.id] for d in scored
            ],
            "size": [18 if run.best is not None and d.id == run.best.id else 10 for d in scored],
            "line": {"width": 1, "color": GREY},
        }
        figure.add_trace(_nodes(scored, lanes, "design (star: best, diamond: control)", marker))
    figure.update_yaxes(visible=False)
    figure.update_layout(height=min(1100, max(340, 16 * (max(lanes.values()) + 1) + 140)))
    return figure


def prompt_figure(prompts: Sequence[PromptView]) -> go.Figure | None:
    """Every prompt as a node, a line to what it was made of, the value as its colour; None if there is no tree.

    Parents come before their children in `prompts`.
    """
    if not any(prompt.parent for prompt in prompts):
        return None
    lanes = _lanes([(prompt.id, (prompt.parent,) if prompt.parent else ()) for prompt in prompts])
    made = {prompt.id: prompt.generation for prompt in prompts}
    figure = base_figure("generation after which it was made", "")
    xs: list[float | None] = []
    ys: list[float | None] = []
    for prompt in prompts:
        if prompt.parent in made:
            xs += [made[prompt.parent], min(made[prompt.parent] + 1, prompt.generation), prompt.generation, None]
            late = prompt.generation > made[prompt.parent] + 1
            ys += [lanes[prompt.parent], lanes[prompt.id if late else prompt.parent], lanes[prompt.id], None]
    look = {"color": GREY, "width": 1}
    figure.add_trace(go.Scatter(x=xs, y=ys, mode="lines", name="made of", line=look, hoverinfo="skip"))
    for told in (True, False):
        group = [prompt for prompt in prompts if (prompt.value is not None) is told]
        if group:
            figure.add_trace(_prompt_nodes(group, lanes, told))
    figure.update_yaxes(visible=False)
    figure.update_layout(height=min(700, max(240, 22 * (max(lanes.values()) + 1) + 140)))
    return figure


def _prompt_nodes(prompts: Sequence[PromptView], lanes: dict[str, int], told: bool) -> go.Scatter:
    marker: dict[str, object] = {
        "size": [9 + min(15.0, 3.0 * math.sqrt(prompt.visits or 0)) for prompt in prompts],
        "color": [prompt.value.mean if prompt.value else 0.0 for prompt in prompts] if told else GREY,
        "symbol": "circle" if told else "x-thin-open",
        "line": {"width": 1 if told else 2, "color": GREY},
    }
    if told:
        marker["colorscale"] = SCALE
        marker["colorbar"] = {"title": {"text": "value"}, "thickness": 12, "outlinewidth": 0}
    return go.Scatter(
        x=[prompt.generation for prompt in prompts],
        y=[lanes[prompt.id] for prompt in prompts],
        mode="markers",
        name="prompt (the larger, the more designs were measured)" if told else "nothing told yet",
        marker=marker,
        customdata=[prompt.id for prompt in prompts],
        hovertext=[
            f"<b>{label(prompt.short)}</b> {label(prompt.proposer)}<br>{label(prompt.says, 100)}<br>"
            f"value {'not told yet' if prompt.value is None else label(str(prompt.value))}"
            for prompt in prompts
        ],
        hoverinfo="text",
    )


def task_figure(grid: TaskGrid) -> go.Figure | None:
    """Heat map of rewards, one row a design, one column a task; None if there is nothing to show."""
    if not grid.streams or not grid.designs:
        return None
    rows = [f"{d.rank or 'control'}. {label(d.name, 32)} {d.short[:6]}" for d in grid.designs]
    hover = [
        [
            "not evaluated"
            if reward is None
            else f"{label(d.name)} {d.short}<br>{label(stream, 100)}, task {position + 1}<br>"
            f"reward {number(reward)}, n={count} (one task has no interval)"
            for reward, count, stream, position in zip(rewards, counts, grid.streams, grid.positions, strict=True)
        ]
        for d, rewards, counts in zip(grid.designs, grid.rewards, grid.counts, strict=True)
    ]
    figure = base_figure("task, in stream order; white lines part the streams", "")
    figure.add_trace(
        go.Heatmap(
            z=[list(rewards) for rewards in grid.rewards],
            y=rows,
            x=list(range(len(grid.streams))),
            hovertext=hover,
            hoverinfo="text",
            zmin=0,
            zmax=1,
            colorscale=SCALE,
            xgap=1,
            ygap=1,
            colorbar={"title": {"text": "reward"}, "thickness": 12, "outlinewidth": 0},
        )
    )
    changes = [place for place in range(1, len(grid.streams)) if grid.streams[place] != grid.streams[place - 1]]
    for place in changes:
        figure.add_vline(x=place - 0.5, line={"color": "#ffffff", "width": 3})
    figure.update_yaxes(autorange="reversed", automargin=True, showgrid=False, ticks="")
    figure.update_xaxes(showgrid=False, showticklabels=False, ticks="")
    figure.update_layout(height=150 + 24 * len(rows))
    return figure


def cost_figure(run: RunView) -> go.Figure | None:
    """Score against seconds, bytes stored and characters recalled, each per stream; None if nothing was measured."""
    scored = [d for d in run.designs if d.score is not None and d.cost.stream_seconds is not None]
    if not scored:
        return None
    titles = ("seconds", "bytes stored", "recall characters")
    figure = make_subplots(rows=1, cols=3, shared_yaxes=True, horizontal_spacing=0.04)
    _dress(figure, "", "")
    for column, title in enumerate(titles, 1):
        pairs = [(design, _measured(design, column)) for design in scored]
        present = [(design, amount) for design, amount in pairs if amount is not None]
        for control, colour, name in ((False, BLUE, "design"), (True, RED, "control")):
            group = [(design, amount) for design, amount in present if design.control is control]
            if not group:
                continue
            figure.add_trace(
                go.Scatter(
                    x=[amount.mean for _, amount in group],
                    y=[design.score.mean if design.score else None for design, _ in group],
                    mode="markers",
                    name=name,
                    legendgroup=name,
                    showlegend=column == 1,
                    marker={"color": colour, "size": 8, "opacity": 0.8},
                    error_x=_bars([amount for _, amount in group], colour),
                    error_y=_bars([design.score for design, _ in group], colour),
                    customdata=[design.id for design, _ in group],
                    hovertext=[f"{_hover(design)}<br>{title} {_told_amount(amount)}" for design, amount in group],
                    hoverinfo="text",
                ),
                row=1,
                col=column,
            )
        figure.update_xaxes(title_text=f"{title} per stream", rangemode="tozero", row=1, col=column)
    figure.update_yaxes(title_text="search score", row=1, col=1)
    return figure


def gap_figure(run: RunView) -> go.Figure | None:
    """Score on search streams against score on validation streams; None if no design has both."""
    both = [d for d in run.designs if d.score is not None and d.validation is not None]
    if not both:
        return None
    figure = base_figure("mean reward on search streams", "mean reward on validation streams")
    ends = [s.mean for d in both for s in (d.score, d.validation) if s is not None]
    low, high = max(0.0, min(ends) - 0.1), min(1.0, max(ends) + 0.1)
    figure.add_trace(
        go.Scatter(
            x=[low, high],
            y=[low, high],
            mode="lines",
            name="no gap",
            line={"dash": "dash", "color": GREY},
            hoverinfo="skip",
        )
    )
    for control, colour, name in ((False, BLUE, "design, 95 % intervals"), (True, RED, "control")):
        group = [d for d in both if d.control is control]
        if group:
            trace = _points(
                group, [d.score.mean if d.score else 0.0 for d in group], [d.validation for d in group], name
            )
            trace.update(marker_color=colour, error_y_color=colour, error_x=_bars([d.score for d in group], colour))
            trace.hovertext = [f"{_hover(d)}<br>validation {told_score(d.validation)}" for d in group]
            figure.add_trace(trace)
    figure.update_layout(height=430)
    return figure


def base_figure(x: str, y: str) -> go.Figure:
    """An empty figure in the pages' dress, with titles of its axes."""
    figure = go.Figure()
    _dress(figure, x, y)
    return figure


def _dress(figure: go.Figure, x: str, y: str) -> None:
    figure.update_layout(
        template="none",
        height=430,
        margin={"l": 60, "r": 20, "t": 70, "b": 55},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hovermode="closest",
        hoverlabel={"align": "left"},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        font={"family": "system-ui, sans-serif", "size": 13, "color": GREY},
    )
    grid = {"gridcolor": "rgba(139,149,165,.25)", "zeroline": False, "automargin": True}
    figure.update_xaxes(title_text=x, **grid)
    figure.update_yaxes(title_text=y, **grid)


def _points(designs: Sequence[DesignView], x: Sequence[float], y: Sequence[Interval | None], name: str) -> go.Scatter:
    """Designs as points with the intervals of `y`."""
    return go.Scatter(
        x=list(x),
        y=[interval.mean if interval else None for interval in y],
        error_y=_bars(y, BLUE),
        mode="markers",
        name=name,
        marker={"color": BLUE, "size": 8},
        customdata=[design.id for design in designs],
        hovertext=[_hover(design) for design in designs],
        hoverinfo="text",
    )


def _nodes(designs: Sequence[DesignView], lanes: dict[str, int], name: str, marker: dict[str, object]) -> go.Scatter:
    return go.Scatter(
        x=[design.sequence for design in designs],
        y=[lanes[design.id] for design in designs],
        mode="markers",
        name=name,
        marker={"size": 10, "line": {"width": 2}, **marker},
        customdata=[design.id for design in designs],
        hovertext=[_hover(design) for design in designs],
        hoverinfo="text",
    )


def _lanes(family: Sequence[tuple[str, Sequence[str]]]) -> dict[str, int]:
    """Give everyone a lane, like `git log --graph`: the first child stays in its parent's, the others branch off.

    Args:
        family: ids with those of their parents, the main one first; parents come before their children.
    """
    known = {id_ for id_, _ in family}
    children: dict[str, list[str]] = defaultdict(list)
    roots = []
    for id_, parents in family:
        main = next((parent for parent in parents if parent in known), None)
        if main is None:
            roots.append(id_)
        else:
            children[main].append(id_)
    lanes: dict[str, int] = {}
    stack = [(root, False) for root in reversed(roots)]
    used = -1
    lane_of: dict[str, int] = {}
    while stack:
        id_, stays = stack.pop()
        if not stays:
            used += 1
            lane_of[id_] = used
        lanes[id_] = lane_of[id_]
        first, *rest = children[id_] or [""]
        stack += [(child, False) for child in reversed(rest)]
        if first:
            lane_of[first] = lanes[id_]
            stack.append((first, True))
    return lanes


def _hover(design: DesignView) -> str:
    lines = [
        f"<b>{label(design.name)}</b> {label(design.short)}",
        f"{label(design.operator or design.proposer or 'given')}, generation {design.generation}",
        f"search {told_score(design.score)}" if design.score else label(design.fate),
    ]
    if design.control:
        lines.append("control")
    return "<br>".join(lines)


def _bars(intervals: Sequence[Interval | None], colour: str) -> dict[str, object]:
    """Error bars; none for a single stream, whose interval is everything and would hide the others."""
    told = [interval if interval is not None and interval.n > 1 else None for interval in intervals]
    return {
        "type": "data",
        "symmetric": False,
        "array": [_finite(i.high - i.mean) if i else None for i in told],
        "arrayminus": [_finite(i.mean - i.low) if i else None for i in told],
        "thickness": 1,
        "width": 0,
        "color": colour,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _measured(design: DesignView, column: int) -> Interval | None:
    cost = design.cost
    return (cost.stream_seconds, cost.bytes_stored, cost.recall_chars)[column - 1]


def _told_amount(amount: Interval) -> str:
    high = "∞" if math.isinf(amount.high) else f"{amount.high:,.4g}"
    return f"{amount.mean:,.4g} [{amount.low:,.4g}, {high}] n={amount.n}"
