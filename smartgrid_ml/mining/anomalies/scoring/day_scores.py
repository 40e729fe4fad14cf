"""A scored day as records: what was expected, how far it is from that, how strange that is."""

from dataclasses import dataclass

from smartgrid_ml.mining.anomalies.nan_arrays import Bools, Floats


@dataclass(frozen=True, slots=True)
class ExpectedRange:
    """What the values of a day are expected to be, float64 (n_rows, per_day), unit of the series.

    Attributes:
        profile: Median of the slot on like days, before neighbours and weather.
        explained: What neighbours and weather add to the profile.
        centre: The expected value: profile and explained.
        below: Spread of values below the centre, as a standard deviation.
        above: Spread of values above the centre.
        spread: (n_rows,), one spread of the series for the whole day.
        regressors: (n_rows, n_regressors, per_day), deviations of neighbours and weather in their
            own spreads; 0 where unknown.
    """

    profile: Floats
    explained: Floats
    centre: Floats
    below: Floats
    above: Floats
    spread: Floats
    regressors: Floats


@dataclass(frozen=True, slots=True)
class Deviations:
    """How far a day is from what was expected, float64, in spreads; NaN is unknown.

    Attributes:
        by_step: (n_rows, per_day), of every value from its centre.
        by_slot: (n_rows, n_slots), their median in every slot of the profile.
        over_hours: (n_rows, per_day), their median over the last `short` slots.
        over_day: (n_rows, per_day), their median over the last `long` slots.
        of_day: (n_rows,), their median over the day; NaN if under half of the slots are known.
        cusum: (n_rows, 2), cumulated sums of the days' medians upwards and downwards, in the days'
            own spreads.
    """

    by_step: Floats
    by_slot: Floats
    over_hours: Floats
    over_day: Floats
    of_day: Floats
    cusum: Floats


@dataclass(frozen=True, slots=True)
class DayScores:
    """A day as every detector sees it; rows as in `DetectorSetup`.

    Attributes:
        values: float64 (n_rows, per_day), the day's values, unit of the series; NaN is missing.
        expected: What was expected of them.
        deviations: How far they are from that.
        still: float64 (n_rows, per_day), how many steps a value stands already, itself among them;
            0 where it is missing.
        silent: float64 (n_rows, per_day), how many steps up to here are missing; 0 before a
            series' first value.
        mean_in_span: float64 (n_rows, per_day), mean over the clock span of the row's limit.
        is_outside: bool (n_rows, per_day), whether that mean and the span's median break the limit.
        scores: float64 (n_rows, DETECTORS, per_day), log10(1 + days until the series is expected to
            be as strange again).
        bounds: float64 (n_rows, DETECTORS), the strangeness at which a score reaches the threshold.
        is_ready: bool (n_rows,), whether the series is known for long enough to judge its values.
        is_settled: bool (n_rows,), whether its deviations may teach what is usual.
    """

    values: Floats
    expected: ExpectedRange
    deviations: Deviations
    still: Floats
    silent: Floats
    mean_in_span: Floats
    is_outside: Bools
    scores: Floats
    bounds: Floats
    is_ready: Bools
    is_settled: Bools
