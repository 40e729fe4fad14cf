"""Register readings of many meters and days as steps of energy between believed readings."""

import polars as pl

from smartgrid_core.readings.registers import compute_register_steps

SERIES = ("meter_id", "day")
"""One series: a meter's readings of one UTC day with the day's brackets."""

INSTANT = pl.Datetime("us", "UTC")


def compute_energy_steps(
    series: pl.DataFrame, *, register_capacity_kwh: float, max_plausible_kw: float
) -> pl.DataFrame:
    """Return one row per (meter_id, day, step_start): energy up to `step_end`, kWh, quality.

    `series` has meter_id, day, event_time and reading (kWh); one row per (meter_id, day,
    event_time), for one series or for any number of them. No series depends on another.
    """
    before, hours, rise = pl.col("step_start"), pl.col("hours"), pl.col("energy_kwh")
    steps = (
        series.sort(*SERIES, "event_time")
        .with_columns(
            step_start=pl.col("event_time").shift().over(SERIES),
            energy_kwh=pl.col("reading") - pl.col("reading").shift().over(SERIES),
        )
        .with_columns(hours=(pl.col("event_time") - before).dt.total_microseconds() / 3.6e9)
        .with_columns(
            is_strange=(~rise.is_between(0, max_plausible_kw * hours))
            .fill_null(value=False)
            .any()
            .over(SERIES)
        )
    )
    healthy = steps.filter(~pl.col("is_strange") & before.is_not_null()).select(
        *SERIES,
        "step_start",
        pl.col("event_time").alias("step_end"),
        "energy_kwh",
        pl.lit("measured").alias("quality"),
    )
    strange = steps.filter("is_strange")
    if strange.is_empty():
        return healthy
    mended = _mend_steps(
        strange, register_capacity_kwh=register_capacity_kwh, max_plausible_kw=max_plausible_kw
    )
    return pl.concat([healthy, mended])


def _mend_steps(
    series: pl.DataFrame, *, register_capacity_kwh: float, max_plausible_kw: float
) -> pl.DataFrame:
    """Return the same rows for series that hold a fault, one series after the other."""
    rows: list[tuple[object, ...]] = []
    groups = series.group_by(SERIES, maintain_order=True).agg(
        pl.col("event_time").dt.timestamp("us"), pl.col("reading")
    )
    for meter_id, day, times, counts in groups.iter_rows():
        rows.extend(
            (meter_id, day, step.start, step.end, step.energy_kwh, step.quality)
            for step in compute_register_steps(
                times, counts, capacity_kwh=register_capacity_kwh, max_kw=max_plausible_kw
            )
        )
    columns = {
        "meter_id": pl.String,
        "day": pl.Date,
        "step_start": pl.Int64,
        "step_end": pl.Int64,
        "energy_kwh": pl.Float64,
        "quality": pl.String,
    }
    return pl.DataFrame(rows, schema=columns, orient="row").with_columns(
        pl.col("step_start", "step_end").cast(INSTANT)
    )
