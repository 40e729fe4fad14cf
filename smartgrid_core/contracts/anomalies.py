"""Tables of anomalies: the anomalies, the scores of every reading, the state of every series."""

import dataframely as dy

from smartgrid_core.contracts.columns import identifier, one_of, utc

ANOMALY_KINDS = (
    "spike",
    "level_shift",
    "flatline",
    "drift",
    "missing",
    "out_of_band",
    "phase_imbalance",
)
"""What can be strange about a series."""

SUBJECT_KINDS = ("sensor", "meter")

QUANTITIES = ("voltage", "current", "power", "frequency", "energy")
"""Of a sensor in V, A, kW (consumption positive) or Hz; of a meter kWh of an hour."""


class Anomalies(dy.Schema):
    """One row per (subject_id, quantity, start_time): a stretch in which a series is out of place.

    The stretch is [start_time, end_time); values are in the unit of the quantity.
    """

    subject_id = identifier(primary_key=True, description="The sensor_id or meter_id.")
    quantity = one_of(
        *QUANTITIES,
        primary_key=True,
        description=(
            "What is out of place: of a sensor in V, A, kW (consumption positive) or Hz, of a "
            "meter energy in kWh of an hour."
        ),
    )
    start_time = utc(primary_key=True, description="Where the stretch begins, UTC.")
    end_time = utc(description="Where the stretch ends, UTC, itself not included.")
    subject_kind = one_of(*SUBJECT_KINDS, description="Whether the subject is a sensor or a meter.")
    kind = one_of(
        *ANOMALY_KINDS,
        description=(
            "What is strange about it; of several kinds the cause before what it brings about."
        ),
    )
    worst_time = utc(description="When it was strangest, UTC.")
    value = dy.Float64(
        nullable=True,
        description=(
            "What was measured at `worst_time`, or where the median of hours or of the day lay, "
            "in the unit of the quantity; null where nothing was measured."
        ),
    )
    lower_value = dy.Float64(
        nullable=True,
        description=(
            "Lower edge of what was expected at `worst_time`, in the unit of the quantity; null "
            "where unknown or unlimited."
        ),
    )
    upper_value = dy.Float64(
        nullable=True,
        description=(
            "Upper edge of what was expected at `worst_time`, in the unit of the quantity; null "
            "where unknown or unlimited."
        ),
    )
    score = dy.Float64(
        min=0,
        description=(
            "log10(1 + days until the series is expected to be as strange again), the same "
            "measure for every series."
        ),
    )
    reason = dy.String(description="A sentence for people with the figures.")


class AnomalyDays(Anomalies):
    """One row per (subject_id, quantity, start_time, day): an anomaly as a UTC day left it.

    An anomaly of several days has a row on each; the last one knows all of it and is the row of
    `Anomalies`.
    """

    day = dy.Date(
        primary_key=True,
        description=(
            "The UTC day, an anomaly has a row on each that it touches; its last one is the row "
            "of `anomalies`."
        ),
    )


class AnomalyScores(dy.Schema):
    """One row per (subject_id, quantity, time): a reading, its range and how strange it is.

    Beyond the range a value is an anomaly by itself. Range and score are null and 0 while a series
    is too new.
    """

    subject_id = identifier(primary_key=True, description="The sensor_id or meter_id.")
    quantity = one_of(
        *QUANTITIES,
        primary_key=True,
        description="What was measured: of a sensor in V, A, kW or Hz, of a meter energy in kWh.",
    )
    time = utc(
        primary_key=True,
        description=(
            "Start of the step, UTC: of a sensor its interval, 15 minutes at least; of a meter an"
            " hour, or a longer interval of its own."
        ),
    )
    value = dy.Float64(
        nullable=True,
        description=(
            "Mean of the sensor's readings in the step, or the meter's energy in it, in the unit "
            "of the quantity; null without a reading."
        ),
    )
    lower_value = dy.Float64(
        nullable=True,
        description=(
            "Lower edge of the expected range, in the unit of the quantity; null where unknown or"
            " unlimited."
        ),
    )
    upper_value = dy.Float64(
        nullable=True,
        description=(
            "Upper edge of the expected range, in the unit of the quantity; null where unknown or"
            " unlimited."
        ),
    )
    score = dy.Float64(
        min=0,
        description=(
            "log10(1 + days until the series is expected to be as strange again), the largest of "
            "all detectors; 0 while it is not known."
        ),
    )


def _create_list_column(description: str) -> dy.List:
    """Return a column of lists of float64; NaN is unknown."""
    return dy.List(dy.Float64(allow_inf=True, allow_nan=True), description=description)


class AnomalyStates(dy.Schema):
    """One row per (subject_kind, series, day): what the next day needs to know of a series.

    Each list is an array of `smartgrid_ml.mining.anomalies.state.DetectorState`, flat, NaN is
    unknown; a spread is the usual distance of the series from its profile. A few thousand figures
    per series, however long its past.
    """

    subject_kind = one_of(
        *SUBJECT_KINDS,
        primary_key=True,
        description="Whether the series is a sensor's or a meter's.",
    )
    series = dy.String(
        primary_key=True,
        min_length=1,
        description="`<sensor_id>/<quantity>` or `<meter_id>/energy`.",
    )
    day = dy.Date(primary_key=True, description="The UTC day that has ended.")
    history = _create_list_column(
        "Values by day and local time of day without what neighbours and weather explain, "
        "oldest day first, in the unit of the series."
    )
    spread = _create_list_column(
        "Each day's median distance from the profile, in the unit of the series."
    )
    gram = _create_list_column(
        "Sums of products of the regressors (neighbours and weather), for the robust regression."
    )
    moment = _create_list_column("Sums of products of regressors and deviations, for the same.")
    extremes = _create_list_column("Each detector's largest strangeness of each of the last days.")
    tail = _create_list_column("Deviations from the expected value in the last slots, in spreads.")
    daily = _create_list_column("Median deviations of the last days, in spreads.")
    cusum = _create_list_column("Cumulated sums of these, upwards and downwards.")
    run = _create_list_column(
        "The last value, for how many steps it had stood, how many steps are missing, and the"
        " share of time at rest."
    )
    spell = _create_list_column(
        "The open anomaly, NaN for none: start and end in microseconds since 1970 UTC, then "
        "seven figures of each kind."
    )
