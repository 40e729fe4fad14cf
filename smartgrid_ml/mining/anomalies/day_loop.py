"""One day after another: each is scored, its anomalies are named, and the state goes on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import polars as pl

from smartgrid_core.time import midnight, to_epoch_us
from smartgrid_ml.mining.anomalies.calendar import Calendar
from smartgrid_ml.mining.anomalies.classify import classify_day
from smartgrid_ml.mining.anomalies.episodes import Episode
from smartgrid_ml.mining.anomalies.evidence import JudgedDay
from smartgrid_ml.mining.anomalies.nan_arrays import Floats
from smartgrid_ml.mining.anomalies.readings_matrix import (
    CONTEXT,
    IMBALANCE,
    align_to_steps,
    build_context_matrix,
    build_matrix,
    count_steps_to,
    find_peer_groups,
    find_phase_sets,
    list_days_to_judge,
    list_judged_series,
    read_limits,
)
from smartgrid_ml.mining.anomalies.reasons import describe_anomaly, to_instant
from smartgrid_ml.mining.anomalies.scoring.day_scores import DayScores
from smartgrid_ml.mining.anomalies.scoring.score_day import measure_imbalance, score_day
from smartgrid_ml.mining.anomalies.settings import DetectorSettings, DetectorSetup
from smartgrid_ml.mining.anomalies.state import DRIFT, POINT, DetectorState, StateSizes
from smartgrid_ml.mining.anomalies.update_state import update_state

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


@dataclass(frozen=True, slots=True)
class DetectorInputs:
    """What is judged, and what is known beside it.

    Attributes:
        readings: series, time, value; null is missing.
        context: time and numeric columns that may explain the readings, weather for example.
        groups: series, peer_group, phase_set; either of the two may be null.
        limits: series, low, high (null for none), optional over_minutes and what.
        units: Unit of the series, for sentences: one, or by series.
        end: What comes later is not expected yet; None for the end of the last step with a reading.
    """

    readings: pl.DataFrame
    context: pl.DataFrame | None
    groups: pl.DataFrame | None
    limits: pl.DataFrame | None
    units: Mapping[str, str] | str
    end: datetime | None


@dataclass(frozen=True, slots=True)
class DayOutcome:
    """What a day brought.

    Attributes:
        scores: Rows of SCORES, one per reading of the day.
        anomalies: Rows of ANOMALY as tuples, one per anomaly of which the day has a stretch.
        state: What the next day needs.
    """

    scores: pl.DataFrame
    anomalies: list[tuple[object, ...]]
    state: DetectorState


@dataclass(frozen=True, slots=True)
class DayLoop:
    """All days of one call.

    Attributes:
        days: UTC days to judge, in order.
        setup: Settings and rows.
        state: What is known before the first day.
        values: float64 (n_judged, n_days * per_day), unit of each series; NaN is missing.
        context: float64 (n_channels, n_days * per_day); NaN is unknown.
        calendar: Local slots and kinds of day.
        end_step: How many steps, from the first day on, have come.
        units: Unit of each judged series, "" for none.
        times: series, time, reading_time of every reading.
    """

    days: Sequence[date]
    setup: DetectorSetup
    state: DetectorState
    values: Floats
    context: Floats
    calendar: Calendar
    end_step: int
    units: Sequence[str]
    times: pl.DataFrame

    @classmethod
    def prepare(
        cls, inputs: DetectorInputs, settings: DetectorSettings, *, state: pl.DataFrame | None
    ) -> "DayLoop":
        """Return the loop over the days that follow a state, rows of STATES of one day.

        Raises ValueError for a missing column, an unknown country, or readings of a day that the
        state knows.
        """
        step, context, units = settings.step, inputs.context, inputs.units
        rows = align_to_steps(inputs.readings, step=step)
        rows = rows if inputs.end is None else rows.filter(pl.col("time") < inputs.end)
        days = list_days_to_judge(state, rows, end=inputs.end)
        judged = sorted({*rows["series"].unique(), *list_judged_series(state)})
        phases = find_phase_sets(inputs.groups, judged)
        channels = [] if context is None else [name for name in context.columns if name != "time"]
        names = [
            *judged,
            *(IMBALANCE + judged[row] for phase_set in phases for row in phase_set),
            *(CONTEXT + name for name in channels),
        ]
        sizes = StateSizes(settings.history_days, settings.slots, 1 + len(channels), settings.long)
        before = (
            DetectorState.create_blank([], sizes)
            if state is None
            else DetectorState.from_frame(state, sizes)
        )
        return cls(
            days=days,
            setup=DetectorSetup(
                settings=settings,
                series=judged,
                groups=find_peer_groups(inputs.groups, judged),
                phases=phases,
                limits=read_limits(inputs.limits, names, step=step),
            ),
            state=before.select(names, sizes),
            values=build_matrix(rows, judged, days, step=step),
            context=build_context_matrix(context, channels, days, step=step),
            calendar=Calendar.of(days, settings),
            end_step=count_steps_to(inputs.end, rows, days, step=step),
            units=[units if isinstance(units, str) else units.get(name, "") for name in judged],
            times=rows.select("series", "time", "reading_time"),
        )

    def judge_day(self, state: DetectorState, number: int) -> DayOutcome:
        """Return what the day of this number brings, 0 for the first, after that state."""
        setup, per_day = self.setup, self.setup.settings.per_day
        steps = slice(number * per_day, (number + 1) * per_day)
        readings = self.values[:, steps]
        uneven = measure_imbalance(readings, state.history[: setup.judged], setup.phases)
        values = np.concatenate([readings, uneven, self.context[:, steps]])
        calendar = self.calendar.of_day(number)
        day = JudgedDay(
            state=state,
            scores=score_day(state, values, calendar, setup),
            setup=setup,
            start_us=float(to_epoch_us(midnight(self.days[number]))),
            until=min(self.end_step - number * per_day, per_day),
        )
        anomalies = classify_day(day)
        return DayOutcome(
            scores=self._to_score_rows(day.scores, number),
            anomalies=[self._to_anomaly_row(row, episode) for row, episode in anomalies.touched],
            state=update_state(day, anomalies, calendar),
        )

    def _to_anomaly_row(self, row: int, episode: Episode) -> tuple[object, ...]:
        worst = episode.worst[episode.kind]
        figures = (worst.value, worst.lower, worst.upper)
        return (
            self.setup.series[row],
            to_instant(episode.start_us),
            to_instant(episode.end_us),
            to_instant(worst.time_us),
            *(figure if np.isfinite(figure) else None for figure in figures),
            worst.score,
            episode.kind,
            describe_anomaly(
                episode, unit=self.units[row], limit_name=self.setup.limits.names[row]
            ),
        )

    def _to_score_rows(self, scores: DayScores, number: int) -> pl.DataFrame:
        """Return rows of SCORES for every reading of the day of this number."""
        judged, settings = self.setup.judged, self.setup.settings
        score, lower, upper = self._merge_scores(scores)
        minutes = settings.minutes * np.arange(settings.per_day)
        first = midnight(self.days[number]).replace(tzinfo=None)
        times = np.datetime64(first, "us") + minutes.astype("timedelta64[m]")
        steps = pl.DataFrame(
            {
                "series": np.repeat(np.array(self.setup.series, dtype=object), settings.per_day),
                "time": np.tile(times, judged),
                "value": scores.values[:judged].ravel(),
                "lower": lower.ravel(),
                "upper": upper.ravel(),
                "score": score.ravel(),
            },
            schema_overrides={"series": pl.String},
        ).with_columns(
            pl.col("time").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
            pl.col("value", "lower", "upper").fill_nan(None),
        )
        readings = steps.join(self.times, on=["series", "time"], how="inner")
        return readings.with_columns(time="reading_time").select(*SCORES.names())

    def _merge_scores(self, scores: DayScores) -> tuple[Floats, Floats, Floats]:
        """Return score, lower and upper edge of every judged value, each (n_judged, per_day).

        The score is the highest of all detectors; a phase has its imbalance's as well, and what is
        outside its limits the threshold at least. The edges are NaN while a series is too new.
        """
        setup, judged = self.setup, self.setup.judged
        is_ready = scores.is_ready[:judged, None]
        score = np.where(is_ready, scores.scores[:judged].max(axis=1), 0.0)
        for imbalance, row in enumerate(setup.phase_rows, start=judged):
            uneven = scores.scores[imbalance, :DRIFT].max(axis=0)
            score[row] = np.fmax(score[row], np.where(scores.is_ready[imbalance], uneven, 0.0))
        at_least = np.fmax(score, setup.settings.threshold)
        score = np.where(scores.is_outside[:judged], at_least, score)
        expected, reach = scores.expected, scores.bounds[:judged, POINT, None]
        lower = expected.centre[:judged] - reach * expected.below[:judged]
        upper = expected.centre[:judged] + reach * expected.above[:judged]
        lower = np.maximum(lower, setup.limits.low[:judged, None])
        upper = np.minimum(upper, setup.limits.high[:judged, None])
        return score, np.where(is_ready, lower, np.nan), np.where(is_ready, upper, np.nan)
