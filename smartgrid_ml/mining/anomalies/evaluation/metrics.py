"""How well labelled anomalies are detected: figures of rows, of scores, and of events.

Three grains, never mixed. Rows: every row is right or wrong by itself. Scores: how well the score
ranks rows, whatever the threshold. Events: an unbroken run of labelled rows is one event, found or
not, and when; an unbroken run of flagged rows is one alarm, right or false.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from smartgrid_core.time import MICROSECOND

Flags = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.float64]

PRECISION_AT = (10, 20, 50, 100)
"""How many of the highest scores people look at."""


@dataclass(frozen=True, slots=True)
class RowFigures:
    """Figures of rows; None where there is none, as recall without a labelled row.

    Attributes:
        rows: How many rows there are.
        labelled: How many of them are labelled.
        flagged: How many of them are flagged.
        precision: Share of flagged rows that are labelled.
        recall: Share of labelled rows that are flagged.
        f1: Harmonic mean of precision and recall.
        pr_auc: Average precision, the sum over thresholds of the gain in recall times precision,
            without interpolation; a random score reaches `labelled / rows`.
        roc_auc: The chance that a labelled row scores above one that is not, ties half.
        precision_at: By k, the share of labelled rows among the k highest scores.
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
    """Figures of events.

    Attributes:
        events: How many events there are.
        found: How many of them an alarm touches.
        alarms: How many alarms there are.
        true_alarms: How many of them touch an event.
        delays: Of each event that is found, the first alarmed instant minus its start; a negative
            one is a lead.
    """

    events: int
    found: int
    alarms: int
    true_alarms: int
    delays: Sequence[timedelta]

    @property
    def precision(self) -> float | None:
        """Share of alarms that touch an event; None without alarms."""
        return self.true_alarms / self.alarms if self.alarms else None

    @property
    def recall(self) -> float | None:
        """Share of events that an alarm touches; None without events."""
        return self.found / self.events if self.events else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of event precision and event recall."""
        return compute_f1(self.precision, self.recall)


@dataclass(frozen=True, slots=True)
class NearFigures:
    """Figures of rows where a neighbouring row is right as well.

    Attributes:
        precision: Share of flagged rows near a labelled one; None without a flagged row.
        recall: Share of labelled rows near a flagged one; None without a labelled row.
    """

    precision: float | None
    recall: float | None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall."""
        return compute_f1(self.precision, self.recall)


def evaluate_rows(
    labels: Flags, flags: Flags, scores: Scores, *, at: Sequence[int] = PRECISION_AT
) -> RowFigures:
    """Return the figures of rows, in any order.

    Args:
        labels: bool (n_rows,), what is anomalous in truth.
        flags: bool (n_rows,), what is called anomalous.
        scores: float64 (n_rows,); NaN, no score, ranks below all others, infinity above all finite.
        at: How many of the highest scores people look at, each with a figure of its own.

    Returns:
        Figures, None where there is nothing to judge.

    Raises:
        ValueError: If the arrays have different lengths.
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
    """Return the scores as finite numbers of the same order: NaN lowest, infinity highest.

    >>> rank_scores(np.array([1.0, np.nan, np.inf, 3.0])).tolist()
    [1.0, -1.0, 4.0, 3.0]
    """
    finite = scores[np.isfinite(scores)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 0.0)
    return np.nan_to_num(scores, nan=low - 2.0, neginf=low - 1.0, posinf=high + 1.0)


def compute_precision_at(labels: Flags, scores: Scores, *, k: int) -> float:
    """Return the share of labelled rows among the `k` highest scores, which are finite.

    Of tied scores it counts what chance gives: the order of the rows never matters. Raises
    ValueError for k outside 1 to len(labels).
    """
    if not 1 <= k <= len(labels):
        raise ValueError(f"k is {k}; there are {len(labels)} rows")
    last = np.partition(scores, len(scores) - k)[len(scores) - k]
    above, tied = scores > last, scores == last
    places = k - int(above.sum())
    return float((labels[above].sum() + labels[tied].sum() * places / int(tied.sum())) / k)


def compute_f1(precision: float | None, recall: float | None) -> float | None:
    """Return the harmonic mean; None without recall, 0 where nothing is right.

    >>> compute_f1(0.5, 1.0), compute_f1(None, 0.0), compute_f1(0.5, None)
    (0.6666666666666666, 0.0, None)
    """
    if recall is None:
        return None
    if not precision or not recall:
        return 0.0
    return 2 * precision * recall / (precision + recall)


def evaluate_rows_within(rows: pl.DataFrame, *, within: timedelta) -> NearFigures:
    """Return the figures of rows where being off by `within` is right.

    ``rows``: series, time, label, flag, one row per (series, time). A flagged row is right if a
    labelled row of its series is no further away; a labelled row is found if a flagged one is.
    """
    right = found = flagged = labelled = 0
    for _, times, labels, flags in _split_by_series(rows, "label", "flag"):
        width = within // MICROSECOND
        label_times, flag_times = times[labels], times[flags]
        right += int(_has_near(flag_times, label_times, width=width).sum())
        found += int(_has_near(label_times, flag_times, width=width).sum())
        flagged += len(flag_times)
        labelled += len(label_times)
    precision = right / flagged if flagged else None
    recall = found / labelled if labelled else None
    return NearFigures(precision, recall)


def find_row_runs(rows: pl.DataFrame, flag: str, *, apart: timedelta | None = None) -> pl.DataFrame:
    """Return unbroken runs of rows whose `flag` is set: series, start, end, rows.

    Start and end are the times of the first and the last row, `rows` is how many there are.
    ``rows``: series, time and the Boolean column `flag`. A row without the flag ends a run. With
    ``apart``, runs of a series no further than that from each other are one.
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
    """Return the figures of events, each matched with the alarms of the same series.

    An alarm is right for an event if some part of it lies from `early` before the event's start to
    `late` after its end. The delay is from the event's start to the first such part.

    Args:
        events: series, start, end, as `find_row_runs` returns them.
        alarms: series, start, end, as `find_row_runs` returns them.
        early: How long before its start an event may be found.
        late: How long after its end an event may be found.

    Returns:
        Counts and delays.
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
                touched = max(begin, opens)
                first = touched if first is None else min(first, touched)
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
    """Yield each series with its times, ascending, in microseconds, and two columns of flags."""
    for key, group in rows.sort("series", "time").group_by("series", maintain_order=True):
        times = group["time"].dt.timestamp("us").to_numpy()
        first, second = (group[name].fill_null(value=False).to_numpy() for name in flags)
        yield str(key[0]), times, first, second


def _has_near(times: npt.NDArray[np.int64], others: npt.NDArray[np.int64], *, width: int) -> Flags:
    """Return whether each time has one of the others within `width` of it; both ascending."""
    return np.searchsorted(others, times - width, side="left") < np.searchsorted(
        others, times + width, side="right"
    )
