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

    The stretch is [start_time, end_time). `value` is the worst, at `worst_time`, null where nothing
    was measured; [`lower_value`, `upper_value`] was expected there, null where unknown or
    unlimited; all in the unit of the quantity. `score` is log10(1 + days until the series is
    expected to be as strange again), the same measure for every series. `reason` is a sentence for
    people.
    """

    subject_id = identifier(primary_key=True)
    quantity = one_of(*QUANTITIES, primary_key=True)
    start_time = utc(primary_key=True)
    end_time = utc()
    subject_kind = one_of(*SUBJECT_KINDS)
    kind = one_of(*ANOMALY_KINDS)
    worst_time = utc()
    value = dy.Float64(nullable=True)
    lower_value = dy.Float64(nullable=True)
    upper_value = dy.Float64(nullable=True)
    score = dy.Float64(min=0)
    reason = dy.String()


class AnomalyDays(Anomalies):
    """One row per (subject_id, quantity, start_time, day): an anomaly as a UTC day left it.

    An anomaly of several days has a row on each; the last one knows all of it and is the row of
    `Anomalies`.
    """

    day = dy.Date(primary_key=True)


class AnomalyScores(dy.Schema):
    """One row per (subject_id, quantity, time): a reading, its range and how strange it is.

    Beyond the range a value is an anomaly by itself. Range and score are null and 0 while a series
    is too new. `value` is null for an hour without a reading.
    """

    subject_id = identifier(primary_key=True)
    quantity = one_of(*QUANTITIES, primary_key=True)
    time = utc(primary_key=True)
    value = dy.Float64(nullable=True)
    lower_value = dy.Float64(nullable=True)
    upper_value = dy.Float64(nullable=True)
    score = dy.Float64(min=0)


def _create_list_column() -> dy.List:
    """Return a column of lists of float64; NaN is unknown."""
    return dy.List(dy.Float64(allow_inf=True, allow_nan=True))


class AnomalyStates(dy.Schema):
    """One row per (subject_kind, series, day): what the next day needs to know of a series.

    Each list is an array of `smartgrid_ml.mining.anomalies.state.DetectorState`, flat: weeks of a
    daily profile, daily maxima of strangeness. `run` holds the last value, how many steps it has
    stood, how many steps are missing and the share of time at rest; `spell` the open anomaly (NaN
    for none): start and end, then seven figures of each kind. A few thousand figures per series,
    however long its past.
    """

    subject_kind = one_of(*SUBJECT_KINDS, primary_key=True)
    series = dy.String(primary_key=True, min_length=1)
    day = dy.Date(primary_key=True)
    history = _create_list_column()
    spread = _create_list_column()
    gram = _create_list_column()
    moment = _create_list_column()
    extremes = _create_list_column()
    tail = _create_list_column()
    daily = _create_list_column()
    cusum = _create_list_column()
    run = _create_list_column()
    spell = _create_list_column()
