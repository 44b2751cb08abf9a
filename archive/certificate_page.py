"""Draws a certificate as one HTML page."""

from __future__ import annotations

from dataclasses import dataclass

import plotly.graph_objects as go

from archive.certificate import Certificate, Claim, Sheet
from archive.figures import AMBER, BLUE, GREY, base_figure, label
from archive.page import Figure, drawn, render_page
from archive.plain import plain
from archive.statistics import Interval

TONES = {Claim.MEMORY: "good", Claim.PARTLY: "good", Claim.HARM: "bad", Claim.ADVICE: "bad"}


@dataclass(frozen=True, slots=True)
class Part:
    """A sheet with its figures."""

    sheet: Sheet
    tone: str
    figures: tuple[Figure, ...]


def render(certificate: Certificate) -> str:
    """Return the page: equal certificates, equal pages."""
    parts = tuple(
        Part(sheet, TONES.get(sheet.claim, "open"), _figures(number, sheet))
        for number, sheet in enumerate(certificate.sheets)
    )
    title = f"certificate of {plain(certificate.name, 80)}"
    return render_page("certificate.html.j2", title=title, certificate=certificate, parts=parts)


def _figures(number: int, sheet: Sheet) -> tuple[Figure, ...]:
    stream = sheet.subject.stream
    made = (
        drawn(
            f"gains-{number}",
            f"{stream}: what the gain is due to",
            "Paired differences over streams with 95 % intervals. A memory's gain lies right of 0 against every "
            "control, and is gone under amnesia and with another family's experience.",
            _gains(sheet),
        ),
        drawn(
            f"curve-{number}",
            f"{stream}: learning",
            "Gain over no memory in the first, second and last third of a stream, 95 % intervals.",
            _curve(sheet),
        ),
    )
    return tuple(figure for figure in made if figure is not None)


def _gains(sheet: Sheet) -> go.Figure:
    rows: list[tuple[str, Interval, str]] = [(f"over {rival.name}", rival.gain, BLUE) for rival in sheet.rivals]
    if sheet.under_amnesia is not None:
        rows.append(("amnesia, over no memory", sheet.under_amnesia, AMBER))
    if sheet.under_shuffled is not None:
        rows.append(("another family's experience, over no memory", sheet.under_shuffled, AMBER))
    rows += [(f"agent {swap.name}, over no memory", swap.gain, GREY) for swap in sheet.swaps]
    figure = base_figure("difference in mean reward", "")
    for name, gain, colour in reversed(rows):
        figure.add_trace(
            go.Scatter(
                x=[gain.mean],
                y=[label(name)],
                error_x={"type": "data", "array": [_half(gain)], "color": colour},
                mode="markers",
                marker={"color": colour, "size": 9},
                hovertext=[label(f"{name}: {gain}", 120)],
                hoverinfo="text",
                showlegend=False,
            )
        )
    figure.add_vline(x=0.0, line={"color": GREY, "dash": "dot"})
    figure.update_layout(height=90 + 34 * len(rows), margin={"l": 260})
    return figure


def _curve(sheet: Sheet) -> go.Figure | None:
    if not sheet.curve:
        return None
    figure = base_figure("third of the stream", "gain over no memory")
    figure.add_trace(
        go.Scatter(
            x=["first", "second", "last"],
            y=[third.mean for third in sheet.curve],
            error_y={"type": "data", "array": [_half(third) for third in sheet.curve], "color": BLUE},
            mode="lines+markers",
            line={"color": BLUE},
            hovertext=[str(third) for third in sheet.curve],
            hoverinfo="text",
            showlegend=False,
        )
    )
    figure.add_hline(y=0.0, line={"color": GREY, "dash": "dot"})
    return figure


def _half(interval: Interval) -> float | None:
    """What an error bar can show; one stream says nothing of the spread."""
    return interval.half_width if interval.n > 1 else None
