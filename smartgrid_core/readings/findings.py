"""All that is wrong with the readings in one table, and how well it meets a known truth."""

from collections.abc import Iterable
from datetime import timedelta

import polars as pl

from smartgrid_core.contracts.readings import FINDING_KINDS
from smartgrid_core.readings.judgements import (
    STRETCH_GAP,
    find_late_arrivals,
    find_silent_sensors,
    find_stuck_registers,
    find_stuck_values,
    find_voltage_sags,
    group_adjoining_intervals,
    summarise_corrections,
)

READING_FAULTS = tuple(
    kind for kind in FINDING_KINDS if kind not in ("spike", "corrected_readings")
)
"""Fault kinds that are planted and that the readings themselves give away; theft and overload need
more, and a correction is no fault of the readings."""

KIND_OF_QUALITY = {
    "gap": "gap",
    "reset": "register_reset",
    "rollover": "register_rollover",
    "momentary_zero": "momentary_zero",
    "backward_step": "backward_step",
    "unit_slip": "unit_slip",
    "spike": "spike",
}

MOST_SPELLS = 50
"""Spells of one kind at one subject that are told one by one: nearly one a day of two months."""

SLACK = timedelta(hours=1)
"""The interval that shows a fault ends where the fault begins, or begins where it ends."""

COLUMNS = pl.Schema(
    {
        "subject_id": pl.String(),
        "kind": pl.String(),
        "start_time": pl.Datetime("us", "UTC"),
        "end_time": pl.Datetime("us", "UTC"),
        "evidence": pl.String(),
    }
)


def collect_reading_findings(
    *,
    consumption: pl.DataFrame | pl.LazyFrame | None = None,
    sensor_data: pl.DataFrame | pl.LazyFrame | None = None,
    readings: pl.DataFrame | pl.LazyFrame | None = None,
    repeats: pl.DataFrame | pl.LazyFrame | None = None,
    revisions: pl.DataFrame | pl.LazyFrame | None = None,
    nominal_voltages: pl.DataFrame | pl.LazyFrame | None = None,
    sensor_interval_minutes: int = 15,
) -> pl.DataFrame:
    """Return one row per episode of a fault: subject_id, kind, start_time, end_time, evidence.

    Each input adds what it can show; None leaves its faults out. Where a subject has many spells of
    a kind, those within a day of each other are one row, whose evidence counts them.

    Args:
        consumption: Rows of `MeterConsumption`: faults that VEE mended, registers that stand still.
        sensor_data: Rows of `SensorData`: flat lines and silence.
        readings: Rows of `MeterReadings`: late arrival.
        repeats: subject_id, start_time, end_time, rows, as `find_repeated_readings` makes them.
        revisions: Rows of `ReadingRevisions`: corrections; what they replaced did not arrive late.
        nominal_voltages: sensor_id, nominal_v (V, phase to neutral): voltage sags of `sensor_data`.
        sensor_interval_minutes: How often a sensor sends, minutes.

    Returns:
        Rows ordered by these columns; `kind` is one of `FINDING_KINDS`, `evidence` text for people.
    """
    parts: list[pl.DataFrame] = [pl.DataFrame(schema=COLUMNS)]
    if consumption is not None:
        parts += _find_in_consumption(consumption.lazy())
    if sensor_data is not None:
        parts += _find_in_sensors(
            sensor_data.lazy(), nominal=nominal_voltages, minutes=sensor_interval_minutes
        )
    if readings is not None:
        text = pl.format(
            "{} readings came in after later ones, up to {} h",
            *("readings", pl.col("most_hours").round(1)),
        )
        late = find_late_arrivals(readings, revisions=revisions)
        parts.append(_to_finding_rows(late, "meter_id", "late_readings", text))
    if revisions is not None:
        more = pl.format(" and {} deliveries before", pl.col("deliveries") - 1)
        text = pl.format(
            "{} readings of {} were corrected by {} at {}{}, by {} at most",
            *("rows", "quantity", "source", pl.col("replaced_at").dt.to_string("%Y-%m-%d %H:%MZ")),
            pl.when(pl.col("deliveries") > 1).then(more).otherwise(pl.lit("")),
            pl.col("most").round(3),
        )
        rows = summarise_corrections(revisions)
        parts.append(_to_finding_rows(rows, "subject_id", "corrected_readings", text))
    if repeats is not None:
        text = pl.format("{} rows were sent again", "rows")
        parts.append(
            _to_finding_rows(repeats.lazy().collect(), "subject_id", "duplicate_readings", text)
        )
    return _fold_many(pl.concat(parts)).sort("subject_id", "kind", "start_time", "end_time")


def _fold_many(findings: pl.DataFrame) -> pl.DataFrame:
    """Return the findings, in stretches where a subject has more of a kind than anybody reads.

    A sensor that sends hourly where quarter-hours are expected has a hole in each hour, and one
    fault. ``findings``: rows in COLUMNS.
    """
    subject = ("subject_id", "kind")
    is_many = pl.len().over(subject) > MOST_SPELLS
    many = findings.filter(is_many).sort(*subject, "start_time", "end_time")
    reached = pl.col("end_time").cum_max().shift().over(subject)
    is_new = (pl.col("start_time") - reached > STRETCH_GAP).fill_null(value=True)
    first = pl.col("evidence").first()
    stretches = (
        many.with_columns(stretch=is_new.cum_sum())
        .group_by(*subject, "stretch", maintain_order=True)
        .agg(
            pl.col("start_time").first(),
            pl.col("end_time").max(),
            evidence=pl.when(pl.len() > 1)
            .then(pl.format("{} times, at first: {}", pl.len(), first))
            .otherwise(first),
        )
    )
    return pl.concat([findings.filter(~is_many), stretches.select(findings.columns)])


def _to_finding_rows(
    frame: pl.DataFrame, subject: str, kind: str | pl.Expr, evidence: pl.Expr
) -> pl.DataFrame:
    """Return the episodes in the columns of COLUMNS.

    Args:
        frame: One row per episode with start_time and end_time.
        subject: The column that names the meter or sensor.
        kind: One of `FINDING_KINDS`, or an expression for it.
        evidence: The sentence for people.

    Returns:
        The same rows in COLUMNS.
    """
    return frame.select(
        subject_id=pl.col(subject),
        kind=pl.lit(kind) if isinstance(kind, str) else kind,
        start_time=pl.col("start_time"),
        end_time=pl.col("end_time"),
        evidence=evidence,
    )


def _find_in_consumption(consumption: pl.LazyFrame) -> Iterable[pl.DataFrame]:
    """Yield the faults that VEE mended and the registers that stand still."""
    strange = consumption.filter(pl.col("quality") != "measured")
    mended = group_adjoining_intervals(strange, subject="meter_id", same=("quality",))
    kwh = pl.col("energy_kwh").round(3)
    yield _to_finding_rows(
        mended,
        "meter_id",
        pl.col("quality").replace_strict(KIND_OF_QUALITY, return_dtype=pl.String),
        pl.format("{} intervals with {} kWh in all", "intervals", kwh),
    )
    yield _to_finding_rows(
        find_stuck_registers(consumption),
        "meter_id",
        "stuck_value",
        pl.format("{} intervals without any energy", "intervals"),
    )


def _find_in_sensors(
    sensor_data: pl.LazyFrame, *, nominal: pl.DataFrame | pl.LazyFrame | None, minutes: int
) -> Iterable[pl.DataFrame]:
    """Yield flat lines, silence and, with nominal voltages, sags."""
    yield _to_finding_rows(
        find_stuck_values(sensor_data, sensor_interval_minutes=minutes),
        "sensor_id",
        "stuck_value",
        pl.format("{} readings of {} in a row are {}", "readings", "sensor_type", "value"),
    )
    yield _to_finding_rows(
        find_silent_sensors(sensor_data, sensor_interval_minutes=minutes),
        "sensor_id",
        "gap",
        pl.format("{} readings of {} did not come", "missing", "sensor_type"),
    )
    if nominal is not None:
        yield _to_finding_rows(
            find_voltage_sags(sensor_data, nominal=nominal, sensor_interval_minutes=minutes),
            "sensor_id",
            "voltage_sag",
            pl.format(
                "down to {} V of {} V nominal",
                pl.col("lowest_v").round(1),
                pl.col("nominal_v").round(1),
            ),
        )


def score_findings(
    findings: pl.DataFrame, planted: pl.DataFrame, *, slack: timedelta = SLACK
) -> pl.DataFrame:
    """Return one row per planted fault: fault_id, kind, subject_id, found, findings, evidence.

    `findings` is as `collect_reading_findings` returns it; of `planted` (rows of `PlantedFaults`)
    the kinds in READING_FAULTS are scored. A fault is found if a finding of its kind on its subject
    overlaps it, give or take `slack`. `findings` counts those; `evidence` is the first one's, null
    if there is none.
    """
    truth = planted.filter(pl.col("kind").is_in(READING_FAULTS))
    hits = _join_overlapping(truth, findings, slack=slack)
    counted = hits.group_by("fault_id").agg(
        findings=pl.len().cast(pl.Int64),
        evidence=pl.col("evidence").sort_by("start_found").first(),
    )
    return (
        truth.select("fault_id", "kind", "subject_id")
        .join(counted, on="fault_id", how="left")
        .select(
            "fault_id",
            "kind",
            "subject_id",
            found=pl.col("findings").is_not_null(),
            findings=pl.col("findings").fill_null(0),
            evidence="evidence",
        )
        .sort("fault_id")
    )


def select_unexplained_findings(
    findings: pl.DataFrame, planted: pl.DataFrame, *, slack: timedelta = SLACK
) -> pl.DataFrame:
    """Return the false alarms: findings that no planted fault on their subject explains."""
    numbered = findings.with_row_index("finding")
    explained = _join_overlapping(planted, numbered, slack=slack, same_kind=False)
    return numbered.join(explained.select("finding").unique(), on="finding", how="anti").drop(
        "finding"
    )


def _join_overlapping(
    planted: pl.DataFrame, findings: pl.DataFrame, *, slack: timedelta, same_kind: bool = True
) -> pl.DataFrame:
    """Return the pairs of a planted fault and a finding on its subject that overlap in time.

    Args:
        planted: Rows of `PlantedFaults`.
        findings: Rows in COLUMNS, and whatever else they carry.
        slack: By how much they may miss each other.
        same_kind: Whether the two must be of one kind.

    Returns:
        One row per pair; the finding's span is start_found, end_found.
    """
    keys = ["subject_id", "kind"] if same_kind else ["subject_id"]
    found = findings.rename({"start_time": "start_found", "end_time": "end_found"})
    return (
        planted.select("fault_id", *keys, "start_time", "end_time")
        .join(found, on=keys, how="inner")
        .filter(
            pl.col("start_found") < pl.col("end_time") + slack,
            pl.col("end_found") > pl.col("start_time") - slack,
        )
    )
