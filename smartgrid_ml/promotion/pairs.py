"""Losses of two models on the same hours.

Tables of losses are those of `smartgrid_ml/evaluation/losses.py`. A pair is a series and issue time
of which both sides scored the same hours; one issue time is one observation, however many series
it has.
"""

import polars as pl


def compute_relative_differences(losses: pl.DataFrame, other: pl.DataFrame) -> pl.Series:
    """Return the mean relative difference of two losses per issue time, in order.

    It is the mean over pairs of (losses - other) / the mean loss of both. That mean is the series'
    own over all issue times, so that a series counts by how much of its loss is at stake; a series
    that neither lost anything on has no difference.
    """
    weight, loss, rival = pl.col("hours"), pl.col("pinball"), pl.col("pinball_other")
    size = (((loss + rival) * weight).sum() / (2 * weight.sum())).over("series")
    difference = pl.when(size > 0).then((loss - rival) / size).otherwise(0.0)
    return (
        pair_rows(losses, other)
        .with_columns(difference=difference)
        .group_by("issue_time", maintain_order=True)
        .agg(difference=(pl.col("difference") * weight).sum() / weight.sum())
        .sort("issue_time")["difference"]
    )


def compute_paired_means(losses: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
    """Return the mean loss of either side per issue time over their pairs.

    Columns issue_time, hours, pinball and other (the loss of the other side), in the order of time,
    whatever the order of rows; sums are taken over sorted rows, so that not even the last digit
    depends on it.
    """
    weight = pl.col("hours")
    return (
        pair_rows(losses, other)
        .group_by("issue_time", maintain_order=True)
        .agg(
            hours=weight.sum(),
            pinball=(pl.col("pinball") * weight).sum() / weight.sum(),
            other=(pl.col("pinball_other") * weight).sum() / weight.sum(),
        )
        .sort("issue_time")
    )


def pair_rows(losses: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
    """Return series and issue times of which both sides scored the same hours, in order."""
    return losses.join(
        other.select("series", "issue_time", "hours", "pinball"),
        on=["series", "issue_time", "hours"],
        suffix="_other",
    ).sort("issue_time", "series")


def compute_relative_losses(pairs: pl.DataFrame, *, naive: pl.DataFrame | None) -> pl.DataFrame:
    """Return columns series, loss and other_loss, the worst of the other side first.

    A feeder's loss counts against its naive loss (the mean over the naive rows; Hyndman and
    Koehler, 2006, International Journal of Forecasting 22, 679-688), so that the largest feeders
    are not the worst by their size; without `naive` it counts as it is.
    """
    feeders = _average_by_series(pairs, "pinball", "pinball_other").with_columns(size=pl.lit(1.0))
    if naive is not None and naive.height:
        naive_losses = naive.join(pairs, on=["series", "issue_time"], how="semi").sort(
            "model", "series", "issue_time"
        )
        sizes = _average_by_series(naive_losses, "pinball").select("series", size="pinball")
        feeders = feeders.drop("size").join(sizes.filter(pl.col("size") > 0), on="series")
    return feeders.select(
        "series",
        loss=pl.col("pinball") / pl.col("size"),
        other_loss=pl.col("pinball_other") / pl.col("size"),
    ).sort("other_loss", "series", descending=[True, False])


def _average_by_series(losses: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """Return the means of the columns over all hours of each series."""
    weight = pl.col("hours")
    return losses.group_by("series", maintain_order=True).agg(
        (pl.col(column) * weight).sum() / weight.sum() for column in columns
    )
