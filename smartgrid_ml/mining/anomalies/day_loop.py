"""Readings as arrays by day, and each day's anomalies out of what its detectors say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl

from smartgrid_core.time import DAY, Window, midnight
from smartgrid_ml.mining.anomalies import state as remembered
from smartgrid_ml.mining.anomalies.calendar import Calendar
from smartgrid_ml.mining.anomalies.classify import classify_day, close_episodes
from smartgrid_ml.mining.anomalies.episodes import MICROSECOND, to_anomaly_row
from smartgrid_ml.mining.anomalies.expected_range import Floats, Ints
from smartgrid_ml.mining.anomalies.score_day import (
    DayScores,
    DetectorSetup,
    measure_imbalance,
    score_day,
    update_state,
)
from smartgrid_ml.mining.anomalies.state import DetectorState, StateSizes

SLOT_MINUTES = 15
"""Profiles are this fine at most; shorter steps share one."""

LONGEST_HOLD = timedelta(hours=3)
"""Weather of a coarser step holds so long."""

IMBALANCE, CONTEXT = "imbalance of ", "context "
"""What the rows are called that stand beside the judged series in the memory."""

SCORES = pl.Schema(
    {
        "series": pl.String(),
        "time": pl.Datetime("us", "UTC"),
        "value": pl.Float64(),
        "lower": pl.Float64(),
        "upper": pl.Float64(),
        "score": pl.Float64(),
    }
)


@dataclass(slots=True)
class DayLoop:
    """All days of one call: what is judged, against what, and from which memory."""

    days: list[date]
    memory: DetectorState
    setup: DetectorSetup
    series: list[str]
    phase_rows: Ints
    values: Floats
    context: Floats
    calendar: Calendar
    end_step: int
    units: list[str]
    words: list[str | None]
    times: pl.DataFrame

    @classmethod
    def of(
        cls,
        readings: pl.DataFrame,
        *,
        step: timedelta,
        timezone: str,
        country: str | None,
        context: pl.DataFrame | None,
        groups: pl.DataFrame | None,
        limits: pl.DataFrame | None,
        units: Mapping[str, str] | str,
        history_days: int,
        warm_up_days: int,
        threshold: float,
        habits: bool,
        state: pl.DataFrame | None,
        end: datetime | None,
    ) -> "DayLoop":
        """Lay the readings out. Raises ValueError as `detect` says."""
        minutes = step // timedelta(minutes=1)
        if step <= timedelta(0) or DAY % step or step % timedelta(minutes=1):
            raise ValueError(
                f"step {step} does not divide a day into whole minutes; resample to 1h or the like"
            )
        per_day = DAY // step
        per_slot = max(1, SLOT_MINUTES // minutes) if SLOT_MINUTES % minutes == 0 else 1
        rows = _align_to_steps(readings, minutes=minutes)
        rows = rows if end is None else rows.filter(pl.col("time") < end)
        days = _list_days_to_judge(state, rows, end=end)
        judged = sorted({*rows["series"].unique(), *list_judged_series(state)})
        sets, phase_rows = _find_phase_sets(groups, judged)
        channels = [] if context is None else [name for name in context.columns if name != "time"]
        names = [
            *judged,
            *(IMBALANCE + judged[row] for row in phase_rows),
            *(CONTEXT + name for name in channels),
        ]
        slots = per_day // per_slot
        sizes = StateSizes(history_days, slots, 1 + len(channels), max(slots, 7))
        blank = (
            DetectorState.blank([], sizes) if state is None else DetectorState.read(state, sizes)
        )
        low, high, over, words = _read_limits(limits, names, minutes=minutes)
        first = midnight(days[0]) if days else datetime(1970, 1, 1, tzinfo=UTC)
        if end is None:
            end = _pick_instant(rows, "last") + step if rows.height else first
        return cls(
            days=days,
            memory=blank.of(names, sizes),
            setup=DetectorSetup(
                minutes=minutes,
                per_day=per_day,
                per_slot=per_slot,
                judged=len(judged),
                imbalances=len(phase_rows),
                groups=_find_peer_groups(groups, judged),
                phases=sets,
                low=low,
                high=high,
                over_steps=over,
                threshold=threshold,
                warm_up_days=warm_up_days,
                habits=habits,
            ),
            series=judged,
            phase_rows=phase_rows,
            values=_build_matrix(rows, judged, days, per_day=per_day, minutes=minutes),
            context=_build_context_matrix(
                context, channels, days, per_day=per_day, minutes=minutes
            ),
            calendar=Calendar.of(
                days, history_days, slots=slots, timezone=timezone, country=country
            ),
            end_step=int((end - first) / step),
            units=[units if isinstance(units, str) else units.get(name, "") for name in judged],
            words=words[: len(judged)],
            times=rows.select("series", "time", "said"),
        )

    def one_day(
        self, memory: DetectorState, number: int
    ) -> tuple[DayScores, DetectorState, list[tuple[object, ...]]]:
        """Judge a day: the verdict, the memory after it and the rows of its anomalies."""
        setup, per_day = self.setup, self.setup.per_day
        here = slice(number * per_day, (number + 1) * per_day)
        of_day = self.values[:, here]
        uneven = measure_imbalance(of_day, memory.history[: setup.judged], setup.phases)
        values = np.concatenate([of_day, uneven, self.context[:, here]])
        slots, types, past_types = self.calendar.of_day(number)
        verdict = score_day(
            memory, values, slots=slots, types=types, past_types=past_types, setup=setup
        )
        until = min(self.end_step - number * per_day, per_day)
        start_us = _micros(midnight(self.days[number]))
        strange = classify_day(
            memory, verdict, setup, self.phase_rows, start_us=start_us, until=until
        )
        after = update_state(
            memory,
            verdict,
            slots=slots,
            is_strange=strange.mask,
            is_lasting=strange.persistent,
            begins=strange.begins,
            setup=setup,
        )
        after.spell[: setup.judged] = strange.spells
        close_episodes(
            after,
            verdict,
            setup,
            self.phase_rows,
            now_us=start_us + DAY / MICROSECOND,
        )
        after.forget()
        rows = [
            to_anomaly_row(
                self.series[row],
                spell,
                unit=self.units[row],
                limits=self.words[row],
            )
            for row, spell in strange.touched
        ]
        return verdict, after, rows

    def scores(self, verdict: DayScores, number: int) -> pl.DataFrame:
        """Rows of SCORES for every reading of a day."""
        setup = self.setup
        judged, per_day = setup.judged, setup.per_day
        score, lower, upper = self._row_scores(verdict)
        minutes = self.setup.minutes * np.arange(per_day)
        first = midnight(self.days[number]).replace(tzinfo=None)
        times = np.datetime64(first, "us") + minutes.astype("timedelta64[m]")
        cells = pl.DataFrame(
            {
                "series": np.repeat(np.array(self.series, dtype=object), per_day),
                "time": np.tile(times, judged),
                "value": verdict.values[:judged].ravel(),
                "lower": lower.ravel(),
                "upper": upper.ravel(),
                "score": score.ravel(),
            },
            schema_overrides={"series": pl.String},
        ).with_columns(
            pl.col("time").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
            pl.col("value", "lower", "upper").fill_nan(None),
        )
        told = cells.join(self.times, on=["series", "time"], how="inner")
        return told.with_columns(time="said").select(*SCORES.names())

    def _row_scores(self, verdict: DayScores) -> tuple[Floats, Floats, Floats]:
        setup = self.setup
        judged = setup.judged
        score = verdict.scores[:judged].max(axis=1)
        ready = verdict.ready[:judged, None]
        score = np.where(ready, score, 0.0)
        for place, row in enumerate(self.phase_rows):
            uneven = verdict.scores[judged + place, : remembered.DRIFT].max(axis=0)
            is_known = verdict.ready[judged + place]
            score[row] = np.fmax(score[row], np.where(is_known, uneven, 0.0))
        score = np.where(verdict.is_outside[:judged], np.fmax(score, setup.threshold), score)
        reach = verdict.bounds[:judged, remembered.POINT, None]
        lower = verdict.centre[:judged] - reach * verdict.below[:judged]
        upper = verdict.centre[:judged] + reach * verdict.above[:judged]
        lower = np.maximum(lower, setup.low[:judged, None])
        upper = np.minimum(upper, setup.high[:judged, None])
        return score, np.where(ready, lower, np.nan), np.where(ready, upper, np.nan)


def _micros(instant: datetime) -> float:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) / MICROSECOND


def _align_to_steps(readings: pl.DataFrame, *, minutes: int) -> pl.DataFrame:
    """series, time (cut to the step), said (as it was), value; one row per series and step."""
    for name in ("series", "time", "value"):
        if name not in readings.columns:
            raise ValueError(f"readings: no column {name!r}, found {', '.join(readings.columns)}")
    zone = getattr(readings.schema["time"], "time_zone", None)
    time = pl.col("time").cast(pl.Datetime("us", zone))
    time = time.dt.replace_time_zone("UTC") if zone is None else time.dt.convert_time_zone("UTC")
    return (
        readings.select(
            pl.col("series").cast(pl.String),
            said=time,
            time=time.dt.truncate(f"{minutes}m"),
            value=pl.col("value").cast(pl.Float64).fill_nan(None),
        )
        .sort("series", "said")
        .unique(["series", "time"], keep="last", maintain_order=True)
    )


def _list_days_to_judge(
    state: pl.DataFrame | None, rows: pl.DataFrame, *, end: datetime | None
) -> list[date]:
    """The days to judge: from the state's, or the first reading's, to the last one that is told."""
    if rows.is_empty() and (state is None or state.is_empty() or end is None):
        return []
    first = _pick_instant(rows, "first") if rows.height else None
    if state is not None and state.height:
        known: date = state["day"].sort()[-1]
        if first is not None and first < midnight(known) + DAY:
            raise ValueError(f"the state knows {known} already, and there is a reading of {first}")
        first = midnight(known) + DAY
    last = end - MICROSECOND if end is not None else _pick_instant(rows, "last")
    if first is None or last < first:
        return []
    return list(Window(first, last + MICROSECOND).days())


def _pick_instant(rows: pl.DataFrame, at: str) -> datetime:
    """The first or last time of rows that are not empty."""
    times = rows["time"].sort()
    instant: datetime = times[0] if at == "first" else times[-1]
    return instant


def list_judged_series(state: pl.DataFrame | None) -> list[str]:
    """The series that a state knows, without what stands beside them."""
    if state is None:
        return []
    beside = pl.col("series").str.starts_with(IMBALANCE) | pl.col("series").str.starts_with(CONTEXT)
    return state.filter(~beside)["series"].to_list()


def _build_matrix(
    rows: pl.DataFrame, names: Sequence[str], days: Sequence[date], *, per_day: int, minutes: int
) -> Floats:
    """Values by name and step, (n, n_days * per_day); NaN where there is none."""
    values = np.full((len(names), len(days) * per_day), np.nan)
    if rows.is_empty():
        return values
    first = midnight(days[0])
    place = {name: row for row, name in enumerate(names)}
    index = rows.select(
        row=pl.col("series").replace_strict(place, return_dtype=pl.Int64),
        step=(pl.col("time") - first).dt.total_minutes() // minutes,
    )
    values[index["row"].to_numpy(), index["step"].to_numpy()] = rows["value"].to_numpy()
    return values


def _build_context_matrix(
    context: pl.DataFrame | None,
    channels: Sequence[str],
    days: Sequence[date],
    *,
    per_day: int,
    minutes: int,
) -> Floats:
    """Context by channel and step; a row holds until the next, LONGEST_HOLD at most."""
    if context is None or not days or not channels:
        return np.full((len(channels), len(days) * per_day), np.nan)
    long = context.unpivot(on=list(channels), index="time", variable_name="series")
    rows = _align_to_steps(long, minutes=minutes).filter(
        pl.col("time").dt.date().is_between(days[0], days[-1])
    )
    values = _build_matrix(rows, channels, days, per_day=per_day, minutes=minutes)
    hold = int(LONGEST_HOLD / timedelta(minutes=minutes))
    filled = pl.DataFrame(values.T, schema=list(channels)).with_columns(
        pl.all().fill_nan(None).forward_fill(limit=max(hold, 1))
    )
    return filled.to_numpy().T.astype(np.float64)


def _find_peer_groups(groups: pl.DataFrame | None, judged: Sequence[str]) -> list[Ints]:
    return _collect_members(groups, judged, "peer_group")


def _find_phase_sets(groups: pl.DataFrame | None, judged: Sequence[str]) -> tuple[list[Ints], Ints]:
    """The rows of each phase set of two or more, and all of them one after the other."""
    sets = [rows for rows in _collect_members(groups, judged, "phase_set") if len(rows) > 1]
    return sets, np.concatenate(sets) if sets else np.empty(0, dtype=np.int64)


def _collect_members(groups: pl.DataFrame | None, judged: Sequence[str], column: str) -> list[Ints]:
    if groups is None or column not in groups.columns:
        return []
    place = {name: row for row, name in enumerate(judged)}
    known = groups.filter(pl.col("series").is_in(list(judged)), pl.col(column).is_not_null())
    rows: dict[str, list[int]] = {}
    for name, group in known.sort("series").select("series", column).iter_rows():
        rows.setdefault(group, []).append(place[name])
    return [np.array(rows[group], dtype=np.int64) for group in sorted(rows)]


def _read_limits(
    limits: pl.DataFrame | None, names: Sequence[str], *, minutes: int
) -> tuple[Floats, Floats, Ints, list[str | None]]:
    """Low, high, the span of the mean in steps and the words, one per row."""
    low, high = np.full(len(names), -np.inf), np.full(len(names), np.inf)
    over = np.ones(len(names), dtype=np.int64)
    said: list[str | None] = [None] * len(names)
    place = {name: row for row, name in enumerate(names)}
    for limit in [] if limits is None else limits.iter_rows(named=True):
        row = place.get(limit["series"])
        if row is None:
            continue
        low[row] = -np.inf if limit["low"] is None else limit["low"]
        high[row] = np.inf if limit["high"] is None else limit["high"]
        span = limit.get("over_minutes") or minutes
        is_whole = span % minutes == 0 and (24 * 60) % span == 0
        over[row] = span // minutes if is_whole else 1
        said[row] = limit.get("what")
    return low, high, over, said
