"""Segments as people read them: pictures of typical days, positions and sizes, and tables."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from smartgrid_core.arrays import F64
from smartgrid_core.contracts.segments import DAY_KINDS
from smartgrid_core.markdown import render_table
from smartgrid_ml.mining.plots import create_figure
from smartgrid_ml.mining.segments.kmeans import ClusterTrial
from smartgrid_ml.mining.segments.profile_points import build_profile_points

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_DOTS = 3_000
"""More dots hide each other."""

COLUMNS = 3
"""Pictures side by side."""

COLOURS = {"weekday": "tab:blue", "weekend": "tab:orange"}


def plot_bands(bands: pl.DataFrame, history: pl.DataFrame) -> "Figure":
    """Return per segment the band from P10 to P90 and the P50 of both kinds of days.

    ``bands``: rows of `SegmentBands` of a run; ``history``: its rows of `SegmentHistory`.
    """
    present = history.filter(pl.col("meters") > 0).sort("meters", "segment_id", descending=True)
    rows = max(1, -(-present.height // COLUMNS))
    figure = create_figure(width=4.0 * COLUMNS, height=2.8 * rows)
    places = figure.subplots(rows, COLUMNS, squeeze=False, sharex=True).ravel()
    for place, segment in zip(places, present.iter_rows(named=True), strict=False):
        of_segment = bands.filter(pl.col("segment_id") == segment["segment_id"])
        for kind in DAY_KINDS:
            day = of_segment.filter(pl.col("day_kind") == kind).sort("hour")
            place.fill_between(
                day["hour"], day["p10"], day["p90"], color=COLOURS[kind], alpha=0.2, linewidth=0
            )
            place.plot(day["hour"], day["p50"], color=COLOURS[kind], label=kind)
        place.set_title(
            f"{segment['segment_id']} ({segment['meters']:,}): {segment['segment_name']}",
            fontsize=8,
        )
        place.set_xticks(range(0, 24, 6))
    for place in places[present.height :]:
        place.set_axis_off()
    places[0].set_ylabel("times the mean power")
    if present.height:
        places[0].legend(fontsize=7)
    return figure


def plot_projection(profiles: pl.DataFrame, members: pl.DataFrame) -> "Figure":
    """Return clustered meters on their first two principal components, coloured by segment.

    ``profiles``: rows of `ConsumerProfiles`; ``members``: rows of `ConsumerSegments`. Meters of no
    segment, the outliers, are crosses; feed-in registers were not clustered.
    """
    from sklearn.decomposition import PCA

    figure = create_figure(width=7.0, height=5.0)
    place = figure.subplots()
    shown = profiles.filter(~pl.col("is_feed_in")).sort("meter_id")
    if shown.height < 3:
        return figure
    if shown.height > MOST_DOTS:
        shown = shown.sample(MOST_DOTS, seed=7).sort("meter_id")
    named = shown.join(members, on="meter_id", how="left", maintain_order="left")
    at = PCA(2, svd_solver="covariance_eigh").fit_transform(build_profile_points(shown))
    segment = named["segment_id"].to_numpy()
    for segment_id in sorted(set(named["segment_id"].drop_nulls())):
        is_here = segment == segment_id
        place.scatter(at[is_here, 0], at[is_here, 1], s=14, label=segment_id)
    is_outlier = named["segment_id"].is_null().to_numpy()
    if is_outlier.any():
        x, y = at[is_outlier].T
        place.scatter(x, y, s=30, marker="x", color="black", label="outlier")
    place.set_xlabel("first principal component of the profiles")
    place.set_ylabel("second")
    place.legend(fontsize=7)
    return figure


def plot_sizes(history: pl.DataFrame) -> "Figure":
    """Return how many meters every segment had from run to run.

    ``history``: rows of `SegmentHistory`.
    """
    figure = create_figure(width=8.0, height=3.2)
    place = figure.subplots()
    for (segment_id,), rows in history.partition_by(
        "segment_id", as_dict=True, maintain_order=True
    ).items():
        runs = rows.sort("day")
        place.plot(runs["day"], runs["meters"], marker="o", markersize=3, label=str(segment_id))
    place.set_ylabel("meters")
    place.set_ylim(bottom=0)
    _label_few_dates(place, history["day"].unique().sort())
    if history.height:
        place.legend(fontsize=7)
    return figure


def plot_knee(distances: F64, *, eps: float) -> "Figure":
    """Return sorted neighbour distances and where they count as too far.

    ``distances``: as `Outliers.distances`, (n,); ``eps``: the radius of a neighbourhood.
    """
    figure = create_figure(width=7.0, height=3.2)
    place = figure.subplots()
    shown = np.unique(np.linspace(0, max(len(distances) - 1, 0), 2_000).astype(int))
    if len(distances):
        place.plot(shown, distances[shown])
        place.axhline(eps, linestyle="--", color="black", label=f"eps = {eps:.3f}")
        place.legend(fontsize=7)
    place.set_xlabel("meters, by distance")
    place.set_ylabel("distance to the neighbour")
    return figure


def _label_few_dates(place: "Axes", days: pl.Series) -> None:
    """Put at most eight dates below the axis, only days of runs."""
    shown = days.gather_every(max(1, -(-len(days) // 8)))
    place.set_xticks(shown.to_numpy(), [str(day) for day in shown], fontsize=7)


def render_segments(history: pl.DataFrame) -> str:
    """Return rows of `SegmentHistory` of one run as Markdown, the largest segment first."""
    return render_table(
        ["segment", "name", "state", "meters", "share", "mean kW", "peak", "night", "weekend"],
        map(
            _format_segment,
            history.sort("meters", "segment_id", descending=[True, False]).iter_rows(named=True),
        ),
    )


def _format_segment(row: dict[str, Any]) -> list[str]:
    """Return the cells of a row of `SegmentHistory`; one without meters has no figures."""
    known = [row["segment_id"], row["segment_name"], row["state"]]
    size = [f"{row['meters']:,}", f"{row['share']:.1%}"]
    if row["meters"] == 0:
        return [*known, *size, "", "", "", ""]
    shares = [f"{row[name]:.0%}" for name in ("night_share", "weekend_share")]
    return [*known, *size, f"{row['mean_kw']:.2f}", f"{row['peak_hour']}:00", *shares]


def build_trial_table(trials: Sequence[ClusterTrial]) -> pl.DataFrame:
    """Return one row per trial: k, stability, silhouette, smallest_share, is_allowed."""
    return pl.DataFrame(
        {
            "k": [trial.k for trial in trials],
            "stability": [trial.stability for trial in trials],
            "silhouette": [trial.silhouette for trial in trials],
            "smallest_share": [trial.smallest_share for trial in trials],
            "is_allowed": [trial.is_allowed for trial in trials],
        },
        schema={
            "k": pl.Int64,
            "stability": pl.Float64,
            "silhouette": pl.Float64,
            "smallest_share": pl.Float64,
            "is_allowed": pl.Boolean,
        },
    )


def render_trials(trials: Sequence[ClusterTrial]) -> str:
    """Return the trials as a Markdown table."""
    if not trials:
        return "no number of segments was tried"
    return render_table(
        ["k", "stability", "silhouette", "smallest segment", "allowed"],
        (
            (
                *(trial.k, f"{trial.stability:.2f}", f"{trial.silhouette:.2f}"),
                f"{trial.smallest_share:.1%} ({trial.smallest})",
                "yes" if trial.is_allowed else "no",
            )
            for trial in trials
        ),
    )


def render_outliers(outliers: pl.DataFrame, *, most: int = 20) -> str:
    """Return the most unusual of the rows of `ConsumerOutliers` as Markdown, at most `most`."""
    if outliers.is_empty():
        return "every profile has company"
    oddest = outliers.sort("score", "meter_id", descending=[True, False]).head(most)
    return render_table(
        ["meter", "score", "mean kW", "what is unusual"],
        (
            (row["meter_id"], f"{row['score']:.2f}", f"{row['mean_kw']:.3f}", row["reason"])
            for row in oddest.iter_rows(named=True)
        ),
    )
