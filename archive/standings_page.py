"""Draws the standings of an arena as one HTML page."""

from __future__ import annotations

import plotly.graph_objects as go

from archive.figures import BLUE, GREY, base_figure, label
from archive.page import drawn, render_page
from archive.plain import plain
from archive.standings import Standings, Table


def render(standings: Standings) -> str:
    """Return the page: equal standings, equal pages."""
    figures = [
        drawn(
            "transfer",
            "Who serves where",
            "Gain over no memory of every design (rows) on every kind of tasks with every agent (columns); means over "
            "streams, the intervals are in the tables.",
            _matrix(standings),
        ),
        *(
            drawn(
                f"scores-{number}",
                f"{table.stream}, agent {table.agent}",
                "Mean reward with a 95 % interval over streams.",
                _scores(table),
            )
            for number, table in enumerate(standings.tables)
        ),
    ]
    title = f"arena {plain(standings.name, 80)}"
    return render_page("standings.html.j2", title=title, standings=standings, figures=[f for f in figures if f])


def _matrix(standings: Standings) -> go.Figure:
    columns = [f"{table.stream} · {table.agent}" for table in standings.tables]
    names = sorted({placed.name for table in standings.tables for placed in table.placed}, reverse=True)
    gains = {(t.stream, t.agent, placed.name): placed.gain for t in standings.tables for placed in t.placed}
    cells = [[gains[t.stream, t.agent, name] for t in standings.tables] for name in names]
    figure = base_figure("", "")
    figure.add_trace(
        go.Heatmap(
            z=[[round(gain.mean, 6) for gain in row] for row in cells],
            x=[label(column) for column in columns],
            y=[label(name) for name in names],
            text=[[str(gain) for gain in row] for row in cells],
            hovertemplate="%{y} on %{x}: %{text}<extra></extra>",
            colorscale=[[0.0, "#b83a44"], [0.5, "#8b95a5"], [1.0, "#1a7f5a"]],
            zmid=0.0,
            colorbar={"title": "gain"},
        )
    )
    figure.update_layout(height=140 + 26 * len(names), margin={"l": 170})
    return figure


def _scores(table: Table) -> go.Figure:
    figure = base_figure("mean reward", "")
    rows = list(reversed(table.placed))
    figure.add_trace(
        go.Scatter(
            x=[placed.score.mean for placed in rows],
            y=[label(placed.name) for placed in rows],
            error_x={"type": "data", "array": [placed.score.half_width for placed in rows], "color": BLUE},
            mode="markers",
            marker={"color": BLUE, "size": 9},
            hovertext=[label(f"{placed.name}: {placed.gain} over no memory", 160) for placed in rows],
            hoverinfo="text",
            showlegend=False,
        )
    )
    none = next((placed.score.mean for placed in rows if placed.gain.mean == 0.0), None)
    if none is not None:
        figure.add_vline(x=none, line={"color": GREY, "dash": "dot"})
    figure.update_layout(height=110 + 26 * len(rows), margin={"l": 170})
    return figure
