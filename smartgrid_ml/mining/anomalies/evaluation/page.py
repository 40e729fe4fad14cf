"""Anomalies of a file's series as one self-contained page: figures, plots, reasons."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

import polars as pl

from smartgrid_ml.evaluation.report import STYLE

PLOTTED_SERIES = 12
"""Series that get a plot of their own: those with the highest scores of anomalies."""

PLOTTED_PARTS = 1_200
"""A plot shows the lowest and highest value of so many parts of its span: all peaks are seen."""

LISTED_ANOMALIES = 300
"""Rows of the page's table, highest scores first; anomalies.parquet has all of them."""

KIND_COLOURS = {
    "spike": "#d1242f",
    "level_shift": "#8e5bd0",
    "flatline": "#0e7490",
    "drift": "#b5892b",
    "missing": "#64748b",
    "out_of_band": "#d1642a",
    "phase_imbalance": "#c2417c",
}
OTHER_COLOUR = "#1d2733"

FIGURES = (
    ("precision", "share of flagged rows that are labelled"),
    ("recall", "share of labelled rows that are flagged"),
    ("f1", "their harmonic mean"),
    ("pr_auc", "average precision of the score"),
    ("roc_auc", "chance that a labelled row scores above another"),
)


def render_detection(
    rows: pl.DataFrame,
    anomalies: pl.DataFrame,
    *,
    title: str,
    metrics: Mapping[str, Any],
    facts: Sequence[str] = (),
    clock: str = "UTC",
) -> str:
    """Return the page as HTML; it loads nothing from anywhere.

    Args:
        rows: series, time, value, lower, upper, label; one row per reading.
        anomalies: series, time, value, lower, upper, score, kind, reason; one row per anomaly.
        title: The page's heading.
        metrics: Figures by name, as written to metrics.json.
        facts: Sentences below the heading.
        clock: The zone that the times are of.

    Returns:
        The whole document.
    """
    lines = "".join(f"<li>{escape(fact)}</li>" for fact in facts)
    plots = "".join(
        f"<h2>{escape(series)}</h2>"
        + _plot_series(
            rows.filter(pl.col("series") == series),
            anomalies.filter(pl.col("series") == series),
            with_library=at == 0,
        )
        for at, series in enumerate(choose_plotted_series(rows, anomalies))
    )
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        f"<title>{escape(title)}</title><style>{STYLE}td.reason{{text-align:left}}</style></head>"
        f"<body><h1>{escape(title)}</h1><ul>{lines}</ul>{_render_figures(metrics)}"
        f"{_render_kinds(anomalies)}{plots}{_render_table(anomalies, clock=clock)}</body></html>"
    )


def choose_plotted_series(rows: pl.DataFrame, anomalies: pl.DataFrame) -> list[str]:
    """Return the series that are plotted, most anomalous first."""
    worst = anomalies.group_by("series").agg(pl.col("score").max())
    return (
        rows.select(pl.col("series").unique())
        .join(worst, on="series", how="left")
        .sort(pl.col("score"), "series", descending=[True, False], nulls_last=True)["series"]
        .head(PLOTTED_SERIES)
        .to_list()
    )


def thin_rows(rows: pl.DataFrame, *, parts: int = PLOTTED_PARTS) -> pl.DataFrame:
    """Return, of each part of a series, the rows with the lowest and the highest value, in order.

    A part without any value keeps its first row, so that a gap stays one. ``rows``: those of one
    series, with a column `value`.
    """
    if rows.height <= 2 * parts:
        return rows
    numbered = rows.with_row_index("at")
    part = pl.col("at") * parts // rows.height
    kept = numbered.group_by(part=part).agg(
        low=pl.col("at").get(pl.col("value").arg_min().fill_null(0)),
        high=pl.col("at").get(pl.col("value").arg_max().fill_null(0)),
    )
    places = pl.concat([kept["low"], kept["high"]]).unique()
    return numbered.filter(pl.col("at").is_in(places.implode())).drop("at")


def _plot_series(rows: pl.DataFrame, anomalies: pl.DataFrame, *, with_library: bool) -> str:
    """Return the plot of one series as HTML, with the drawing library in it if asked to."""
    import plotly.graph_objects as go

    shown = thin_rows(rows)
    times = shown["time"].to_list()
    figure = go.Figure(
        layout=go.Layout(
            template="plotly_white",
            height=340,
            hovermode="x",
            margin={"l": 50, "r": 20, "t": 20, "b": 40},
        )
    )
    band = {"mode": "lines", "line": {"width": 0}, "showlegend": False, "hoverinfo": "skip"}
    figure.add_trace(go.Scatter(x=times, y=shown["lower"].to_list(), **band))
    shade = {**band, "showlegend": True, "fill": "tonexty", "fillcolor": "rgba(31,111,235,.18)"}
    figure.add_trace(go.Scatter(x=times, y=shown["upper"].to_list(), name="expected", **shade))
    line = {"color": "#1d2733", "width": 1}
    figure.add_trace(go.Scatter(x=times, y=shown["value"].to_list(), name="value", line=line))
    for trace in _mark_readings(rows, anomalies):
        figure.add_trace(trace)
    text: str = figure.to_html(full_html=False, include_plotlyjs=with_library)
    return text


def _mark_readings(rows: pl.DataFrame, anomalies: pl.DataFrame) -> Iterator[Any]:
    """Yield the marks of labelled readings, if there are any, and of each kind of anomaly."""
    import plotly.graph_objects as go

    labelled = rows.filter("label")
    if labelled.height:
        yield (
            go.Scatter(
                x=labelled["time"].to_list(),
                y=labelled["value"].fill_null(0.0).to_list(),
                name="labelled",
                mode="markers",
                marker={"symbol": "line-ns-open", "size": 12, "color": "#2f9e5b"},
            )
        )
    for kind in anomalies["kind"].unique(maintain_order=True).sort():
        of_kind = anomalies.filter(pl.col("kind") == kind)
        yield (
            go.Scatter(
                x=of_kind["time"].to_list(),
                y=of_kind["value"].fill_null(of_kind["lower"]).fill_null(0.0).to_list(),
                text=of_kind["reason"].to_list(),
                name=str(kind).replace("_", " "),
                mode="markers",
                marker={"size": 7, "color": KIND_COLOURS.get(kind, OTHER_COLOUR)},
            )
        )


def _render_figures(metrics: Mapping[str, Any]) -> str:
    """Return the table of figures, each with what it means."""
    if metrics["labels"] is None:
        return "<h2>Figures</h2><p>The file has no labels: what was found is not judged.</p>"
    lines = [(name, metrics[name], meaning) for name, meaning in FIGURES]
    lines += [
        (f"precision at {k}", value, f"share of labelled rows among the {k} highest scores")
        for k, value in metrics["precision_at_k"].items()
    ]
    near, events = metrics["within_one_step"], metrics["by_event"]
    lines += [
        (f"{name}, within a step", near[name], "a neighbouring row is right as well")
        for name in ("precision", "recall", "f1")
    ]
    lines += [
        ("events found", f"{events['found']} of {events['events']}", "unbroken runs of labels"),
        (
            "right alarms",
            f"{events['true_alarms']} of {events['alarms']}",
            "unbroken runs of flags",
        ),
        ("delay, median", metrics["detection_delay"]["median_s"], "seconds from an event's start"),
    ]
    cells = [
        (escape(name), escape(meaning), _format_figure(value)) for name, value, meaning in lines
    ]
    body = "".join(f"<tr><td>{'</td><td>'.join(line)}</td></tr>" for line in cells)
    return f"<h2>Figures</h2><table><tbody>{body}</tbody></table>"


def _render_kinds(anomalies: pl.DataFrame) -> str:
    """Return the table of how often each kind came, the most frequent first."""
    if anomalies.is_empty():
        return "<h2>Kinds</h2><p>Nothing unusual was found.</p>"
    counts = (
        anomalies.group_by("kind")
        .agg(times=pl.len(), series=pl.col("series").n_unique())
        .sort("times", "kind", descending=[True, False])
    )
    body = "".join(
        f"<tr><td>{escape(kind.replace('_', ' '))}</td><td>{times}</td><td>{series}</td></tr>"
        for kind, times, series in counts.iter_rows()
    )
    head = "<tr><th>kind</th><th>times</th><th>series</th></tr>"
    return f"<h2>Kinds</h2><table><thead>{head}</thead><tbody>{body}</tbody></table>"


def _render_table(anomalies: pl.DataFrame, *, clock: str) -> str:
    """Return the table of the anomalies with the highest scores."""
    if anomalies.is_empty():
        return ""
    top = anomalies.sort(
        "score", "series", "time", descending=[True, False, False], nulls_last=True
    ).head(LISTED_ANOMALIES)
    names = ("series", "time", "value", "lower", "upper", "score", "kind")
    head = "".join(f"<th>{name}</th>" for name in (*names, "reason"))
    body = "".join(
        "<tr>"
        + "".join(f"<td>{_format_figure(row[name])}</td>" for name in names)
        + f"<td class='reason'>{escape(row['reason'])}</td></tr>"
        for row in top.iter_rows(named=True)
    )
    extent = (
        f"The {LISTED_ANOMALIES} highest of {anomalies.height}"
        if anomalies.height > LISTED_ANOMALIES
        else f"All {anomalies.height}"
    )
    return (
        f"<h2>Anomalies</h2><p>{extent}, by score; times are of {escape(clock)}.</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _format_figure(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.4g}"
    return escape(f"{value:%Y-%m-%d %H:%M:%S}" if hasattr(value, "strftime") else str(value))
