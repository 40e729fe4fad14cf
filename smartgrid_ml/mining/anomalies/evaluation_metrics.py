"""How well anomalies were found: figures of rows, of scores, and of labelled events.

Three grains, never mixed. Rows: every row is right or wrong by itself. Scores: how well the score
ranks rows, whatever the threshold. Events: an unbroken run of labelled rows is one event, found or
not, and when; an unbroken run of flagged rows is one alarm, right or false.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

if TYPE_CHECKING:
    from datetime import datetime

Flags = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.float64]

PRECISION_AT = (10, 20, 50, 100)
"""How many of the highest scores people look at."""


@dataclass(frozen=True, slots=True)
class RowFigures:
    """Figures of rows; None where nothing can be said, as recall is without a labelled row.

    `pr_auc` is average precision, the sum over thresholds of the gain in recall times precision,
    without interpolation; `labelled / rows` is what a random score reaches. `roc_auc` is the chance
    that a labelled row scores above one that is not, ties half.
    """

    rows: int
    labelled: int
    flagged: int
    precision: float | None
    recall: float | None
    f1: float | None
    pr_auc: float | None
    roc_auc: float | None
    precision_at: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class EventFigures:
    """Figures of events. `delays` holds a duration per found event: first alarmed row minus start.

    A negative delay is a lead. `precision` is the share of alarms that touch an event, `recall` the
    share of events that an alarm touches.
    """

    events: int
    found: int
    alarms: int
    true_alarms: int
    delays: Sequence[timedelta]

    @property
    def precision(self) -> float | None:
        """None without alarms."""
        return self.true_alarms / self.alarms if self.alarms else None

    @property
    def recall(self) -> float | None:
        """None without events."""
        return self.found / self.events if self.events else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of event precision and event recall."""
        return compute_f1(self.precision, self.recall)


def evaluate_rows(
    labels: Flags, flags: Flags, scores: Scores, *, at: Sequence[int] = PRECISION_AT
) -> RowFigures:
    """Figures of rows; the arrays have one element per row, in any order.

    A row without a score (NaN) ranks below all others; an infinite score ranks above all finite.
    """
    from sklearn.metrics import average_precision_score, precision_recall_fscore_support
    from sklearn.metrics import roc_auc_score as roc_auc

    if not len(labels) == len(flags) == len(scores):
        raise ValueError(f"{len(labels)} labels, {len(flags)} flags, {len(scores)} scores")
    labelled, flagged = int(labels.sum()), int(flags.sum())
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, flags, average="binary", pos_label=True, zero_division=0.0
    ) if len(labels) else (0.0, 0.0, 0.0, None)  # fmt: skip
    ranks = rank_scores(scores)
    both = 0 < labelled < len(labels)
    return RowFigures(
        rows=len(labels),
        labelled=labelled,
        flagged=flagged,
        precision=float(precision) if flagged else None,
        recall=float(recall) if labelled else None,
        f1=float(f1) if labelled else None,
        pr_auc=float(average_precision_score(labels, ranks)) if labelled else None,
        roc_auc=float(roc_auc(labels, ranks)) if both else None,
        precision_at={
            k: compute_precision_at(labels, ranks, k=k) for k in at if labelled and k <= len(labels)
        },
    )


def rank_scores(scores: Scores) -> Scores:
    """The scores as finite numbers of the same order: NaN lowest, infinity highest."""
    finite = scores[np.isfinite(scores)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 0.0)
    return np.nan_to_num(scores, nan=low - 2.0, neginf=low - 1.0, posinf=high + 1.0)


def compute_precision_at(labels: Flags, scores: Scores, *, k: int) -> float:
    """Share of labelled rows among the `k` highest finite scores; of tied ones, what chance gives.

    The order of the rows therefore never counts. Raises ValueError for k outside 1 to len(labels).
    """
    if not 1 <= k <= len(labels):
        raise ValueError(f"k is {k}; there are {len(labels)} rows")
    last = np.partition(scores, len(scores) - k)[len(scores) - k]
    above, tied = scores > last, scores == last
    places = k - int(above.sum())
    return float((labels[above].sum() + labels[tied].sum() * places / int(tied.sum())) / k)


def compute_f1(precision: float | None, recall: float | None) -> float | None:
    """F1; None without recall, 0 where nothing was found."""
    if recall is None:
        return None
    if not precision or not recall:
        return 0.0
    return 2 * precision * recall / (precision + recall)


def evaluate_rows_within(
    rows: pl.DataFrame, *, within: timedelta
) -> tuple[float | None, float | None, float | None]:
    """Precision, recall and F1 of rows where being off by `within` is right.

    ``rows``: series, time, label, flag, one row per (series, time). A flagged row is right if a
    labelled row of its series is no further away; a labelled row is found if a flagged one is.
    """
    right = found = flagged = labelled = 0
    for _, times, labels, flags in _split_by_series(rows, "label", "flag"):
        width = within // timedelta(microseconds=1)
        label_times, flag_times = times[labels], times[flags]
        right += int(_has_near(flag_times, label_times, width=width).sum())
        found += int(_has_near(label_times, flag_times, width=width).sum())
        flagged += len(flag_times)
        labelled += len(label_times)
    precision = right / flagged if flagged else None
    recall = found / labelled if labelled else None
    return precision, recall, compute_f1(precision, recall)


def find_row_runs(rows: pl.DataFrame, flag: str, *, apart: timedelta | None = None) -> pl.DataFrame:
    """Unbroken runs of rows whose `flag` is set: series, start, end (first and last row), rows.

    ``rows``: series, time and the Boolean column `flag`. A row without the flag ends a run. With
    `apart`, runs of a series no further than that from each other are one.
    """
    ordered = rows.select("series", "time", flag=pl.col(flag).fill_null(value=False)).sort(
        "series", "time"
    )
    numbered = ordered.with_columns(
        run=(pl.col("flag") & ~pl.col("flag").shift(fill_value=False).over("series")).cum_sum()
    ).filter("flag")
    if apart is not None:
        begins = (pl.col("time").diff().over("series") > apart).fill_null(value=True)
        numbered = numbered.with_columns(run=begins.cum_sum())
    return (
        numbered.group_by("series", "run")
        .agg(pl.col("time").min().alias("start"), pl.col("time").max().alias("end"), rows=pl.len())
        .sort("series", "start")
        .drop("run")
    )


def evaluate_events(
    events: pl.DataFrame,
    alarms: pl.DataFrame,
    *,
    early: timedelta = timedelta(0),
    late: timedelta = timedelta(0),
) -> EventFigures:
    """Match alarms with the events of the same series.

    ``events``, ``alarms``: series, start, end, as from `runs`. An alarm is right for an event if
    some part of it lies from `early` before the event's start to `late` after its end. The delay is
    from the event's start to the first such part.
    """
    found = true_alarms = 0
    delays: list[timedelta] = []
    by_series = {
        key[0]: group.select("start", "end").rows()
        for key, group in alarms.sort("start").group_by("series", maintain_order=True)
    }
    hits: dict[object, set[int]] = {name: set() for name in by_series}
    for series, start, end in (
        events.sort("series", "start").select("series", "start", "end").rows()
    ):
        opens, closes = start - early, end + late
        first: datetime | None = None
        for place, (begin, finish) in enumerate(by_series.get(series, ())):
            if begin <= closes and finish >= opens:
                hits[series].add(place)
                seen = max(begin, opens)
                first = seen if first is None else min(first, seen)
        if first is not None:
            found += 1
            delays.append(first - start)
    true_alarms = sum(map(len, hits.values()))
    return EventFigures(
        events=events.height,
        found=found,
        alarms=alarms.height,
        true_alarms=true_alarms,
        delays=delays,
    )


def _split_by_series(
    rows: pl.DataFrame, *flags: str
) -> Iterator[tuple[str, npt.NDArray[np.int64], Flags, Flags]]:
    """Times of each series in microseconds, ascending, with two columns of flags."""
    for key, group in rows.sort("series", "time").group_by("series", maintain_order=True):
        times = group["time"].dt.timestamp("us").to_numpy()
        first, second = (group[name].fill_null(value=False).to_numpy() for name in flags)
        yield str(key[0]), times, first, second


def _has_near(times: npt.NDArray[np.int64], others: npt.NDArray[np.int64], *, width: int) -> Flags:
    """Whether each time has one of the others within `width` of it; both ascending."""
    return np.searchsorted(others, times - width, side="left") < np.searchsorted(
        others, times + width, side="right"
    )
