"""A backtest as one self-contained page: leaderboard, forecasts against actuals, errors by lead."""

from collections.abc import Sequence
from html import escape
from typing import Any

import polars as pl

from smartgrid_ml.evaluation.backtest import LEADERBOARD_SCHEMA, Backtest
from smartgrid_ml.evaluation.metrics import ALL_SERIES
from smartgrid_ml.forecasting.registry import NAIVE_ROWS

PLOTTED_SERIES = 6
"""Series that get a plot of their own: the largest ones."""

PLOTTED_HOURS = 14 * 24
"""The last two weeks of a test span are shown hour by hour."""

COLOURS = ("#1f6feb", "#d1642a", "#2f9e5b", "#8e5bd0", "#b5892b", "#c2417c")

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:1100px;padding:0 1rem;
color:#1d2733}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}td,th{padding:.25rem .7rem;
border-bottom:1px solid #d8dee6;text-align:right}td:first-child,td:nth-child(2),th:first-child,
th:nth-child(2){text-align:left}.error{color:#b42318;text-align:left}h1{font-size:1.5rem}
h2{font-size:1.15rem;margin-top:2rem}
"""


def render_report(result: Backtest, *, title: str, facts: Sequence[str] = ()) -> str:
    """Return a page of HTML that loads nothing from anywhere.

    `facts` are lines on data and protocol, which stand above the leaderboard.
    """
    figures = [
        *_draw_series(result),
        ("Mean absolute error by lead time", _draw_error_by_lead(result.forecasts)),
        (
            "Share of actuals within P10 to P90 by lead time",
            _draw_coverage_by_lead(result.forecasts),
        ),
    ]
    plots = [
        f"<h2>{escape(caption)}</h2>{_embed_figure(figure, with_library=at == 0)}"
        for at, (caption, figure) in enumerate(figures)
        if result.forecasts.height
    ]
    lines = "".join(f"<li>{escape(fact)}</li>" for fact in facts)
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>"
        f"<h1>{escape(title)}</h1><ul>{lines}</ul>"
        f"<h2>Leaderboard</h2>{_render_table(result.leaderboard)}{''.join(plots)}</body></html>"
    )


def draw_error_by_series(leaderboard: pl.DataFrame, *, model: str) -> Any:
    """Return a Plotly figure: nMAE in % of every series, of the model and of each naive row."""
    import plotly.graph_objects as go

    figure = _create_figure()
    figure.update_yaxes(title="nMAE, %")
    known = leaderboard.filter(pl.col("nmae").is_not_null())
    for at, name in enumerate([model, *NAIVE_ROWS]):
        rows = known.filter(pl.col("model") == name).sort(pl.col("series") == ALL_SERIES, "series")
        figure.add_trace(
            go.Bar(
                x=rows["series"].to_list(),
                y=rows["nmae"].to_list(),
                name=name,
                marker_color=COLOURS[at % len(COLOURS)],
            )
        )
    return figure


def _render_table(leaderboard: pl.DataFrame) -> str:
    """Return the leaderboard as HTML: rows over all series first, then each series."""
    ordered = leaderboard.sort(pl.col("series") != ALL_SERIES, maintain_order=True)
    names = [name for name in LEADERBOARD_SCHEMA if name not in ("error", "recipe")]
    head = "".join(f"<th>{name}</th>" for name in names)
    body = []
    for row in ordered.iter_rows(named=True):
        if row["error"] is None:
            cells = "".join(f"<td>{_format_figure(row[name])}</td>" for name in names)
        else:
            labels = f"<td>{escape(row['series'])}</td><td>{escape(row['model'])}</td>"
            cells = (
                f"{labels}<td class='error' colspan='{len(names) - 2}'>{escape(row['error'])}</td>"
            )
        body.append(f"<tr>{cells}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _format_figure(value: float | str | None) -> str:
    if value is None:
        return "-"
    return escape(value) if isinstance(value, str) else f"{value:,.4g}"


def _draw_series(result: Backtest) -> list[tuple[str, Any]]:
    """Return captions and figures: the best model against the actuals, for the largest series."""
    forecasts = result.forecasts
    if forecasts.is_empty():
        return []
    best = result.leaderboard.filter(pl.col("series") == ALL_SERIES).sort(
        "pinball", nulls_last=True
    )
    model = best["model"][0]
    sizes = forecasts.group_by("series").agg(pl.col("actual").abs().mean())
    largest = sizes.sort("actual", descending=True, nulls_last=True)["series"].head(PLOTTED_SERIES)
    return [
        (f"{series}: the last two weeks, {model}", _draw_fan(forecasts, series=series, model=model))
        for series in largest
    ]


def _draw_fan(forecasts: pl.DataFrame, *, series: str, model: str) -> Any:
    """Return a figure of P50, P10 to P90 and the actuals of a series' last PLOTTED_HOURS."""
    import plotly.graph_objects as go

    rows = (
        forecasts.filter((pl.col("series") == series) & (pl.col("model") == model))
        .sort("time", "lead_hours")
        .unique("time", keep="first", maintain_order=True)
        .tail(PLOTTED_HOURS)
    )
    times = rows["time"].to_list()
    figure = _create_figure()
    band = {"mode": "lines", "line": {"width": 0}, "showlegend": False, "hoverinfo": "skip"}
    figure.add_trace(go.Scatter(x=times, y=rows["p10"].to_list(), **band))
    shade = {**band, "showlegend": True, "fill": "tonexty", "fillcolor": "rgba(31,111,235,.18)"}
    figure.add_trace(go.Scatter(x=times, y=rows["p90"].to_list(), name="P10 to P90", **shade))
    for column, name, colour in (("p50", "P50", COLOURS[0]), ("actual", "actual", "#1d2733")):
        line = {"color": colour, "width": 1.5}
        figure.add_trace(go.Scatter(x=times, y=rows[column].to_list(), name=name, line=line))
    return figure


def _draw_error_by_lead(forecasts: pl.DataFrame) -> Any:
    return _draw_by_lead(forecasts, (pl.col("p50") - pl.col("actual")).abs().mean())


def _draw_coverage_by_lead(forecasts: pl.DataFrame) -> Any:
    figure = _draw_by_lead(forecasts, pl.col("actual").is_between("p10", "p90").mean())
    figure.add_hline(y=0.8, line_dash="dot", line_color="#64748b")
    figure.update_yaxes(range=[0, 1])
    return figure


def _draw_by_lead(forecasts: pl.DataFrame, score: pl.Expr) -> Any:
    """Return a figure with a line per model: the score by hours of lead."""
    import plotly.graph_objects as go

    figure = _create_figure()
    figure.update_xaxes(title="lead, hours")
    scores = (
        forecasts.drop_nulls(["actual", "p50"])
        .group_by("model", "lead_hours")
        .agg(score=score)
        .sort("model", "lead_hours")
    )
    for at, name in enumerate(scores["model"].unique(maintain_order=True)):
        rows = scores.filter(pl.col("model") == name)
        figure.add_trace(
            go.Scatter(
                x=rows["lead_hours"].to_list(),
                y=rows["score"].to_list(),
                name=name,
                mode="lines+markers",
                line={"color": COLOURS[at % len(COLOURS)]},
            )
        )
    return figure


def _create_figure() -> Any:
    import plotly.graph_objects as go

    layout = {"template": "plotly_white", "height": 340, "hovermode": "x unified"}
    return go.Figure(layout=go.Layout(margin={"l": 50, "r": 20, "t": 20, "b": 40}, **layout))


def _embed_figure(figure: Any, *, with_library: bool) -> str:
    text: str = figure.to_html(full_html=False, include_plotlyjs=with_library)
    return text
