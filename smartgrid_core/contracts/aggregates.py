"""Tables of hourly and daily truth, made from the readings."""

import dataframely as dy

from smartgrid_core.contracts.columns import identifier, one_of, utc
from smartgrid_core.contracts.readings import SENSOR_TYPES

INTERVAL_QUALITIES = (
    "measured",
    "gap",
    "reset",
    "rollover",
    "momentary_zero",
    "backward_step",
    "unit_slip",
    "spike",
)
"""How an interval's energy came about: from two sound readings, or which fault was mended."""


class SensorAggregates(dy.Schema):
    """One row per (sensor_id, sensor_type, hour_bucket): statistics of the hour's readings."""

    sensor_id = identifier(primary_key=True, description="The sensor.")
    sensor_type = one_of(
        *SENSOR_TYPES,
        primary_key=True,
        description="What it measures, which gives the unit of the values: V, A, kW or Hz.",
    )
    hour_bucket = utc(primary_key=True, description="Start of the hour, UTC.")
    avg_value = dy.Float64(description="Mean of the hour's readings, in the sensor's unit.")
    min_value = dy.Float64(description="Smallest reading of the hour, in the sensor's unit.")
    max_value = dy.Float64(description="Largest reading of the hour, in the sensor's unit.")
    stddev_value = dy.Float64(
        nullable=True,
        min=0,
        description=(
            "Sample standard deviation of the hour's readings, in the sensor's unit; null for one"
            " reading."
        ),
    )
    count = dy.Int64(min=1, description="Readings of the hour.")
    expected_count = dy.Int64(min=1, description="Readings that a healthy sensor sends in an hour.")


class MeterConsumption(dy.Schema):
    """One row per (meter_id, interval_start): energy over an interval that lies within one UTC day.

    Consumption positive; a feed-in register counts what the customer feeds in as a separate meter
    of kind `pv`.
    """

    meter_id = identifier(primary_key=True, description="The meter.")
    interval_start = utc(primary_key=True, description="Start of the interval, UTC.")
    interval_minutes = dy.Int32(min=1, max=1440, description="Length of the interval, minutes.")
    energy_kwh = dy.Float64(
        min=0,
        description=(
            "Energy that the meter counted over the interval, kWh; a register's is spread evenly "
            "between two readings."
        ),
    )
    is_estimated = dy.Bool(
        description="Whether the energy is anything but the difference of two sound readings."
    )
    quality = one_of(
        *INTERVAL_QUALITIES,
        description=(
            "How the energy came about: measured, or the fault that was mended; of several in one"
            " interval the last in this order."
        ),
    )


class DailyConsumption(dy.Schema):
    """One row per (meter_id, local_day): energy of the local calendar day."""

    meter_id = identifier(primary_key=True, description="The meter.")
    local_day = dy.Date(primary_key=True, description="The calendar day by the local clock.")
    energy_kwh = dy.Float64(
        min=0, description="Energy of the intervals that start on the day, kWh."
    )
    estimated_kwh = dy.Float64(
        min=0, description="The part of `energy_kwh` that VEE estimated, kWh."
    )
    hours = dy.Int32(min=23, max=25, description="Length of the day: 23, 24 or 25 hours.")
    covered_hours = dy.Float64(min=0, max=25, description="Hours of the day that have energy rows.")


class FeederLoad(dy.Schema):
    """One row per (feeder_id, hour_start): net mean power over the hour.

    The load is that of the `meters` that reported; `expected_meters` hang on the feeder by the
    topology, so that a load that is low because meters are silent is told from one that is low.
    """

    feeder_id = identifier(
        primary_key=True, description='The feeder; "grid" is the sum of all feeders.'
    )
    hour_start = utc(primary_key=True, description="Start of the hour, UTC.")
    load_kw = dy.Float64(
        description=(
            "Net mean power over the hour, kW: consumption positive, feed-in negative; the sum "
            "over the meters that reported."
        )
    )
    meters = dy.Int32(min=1, description="Meters with energy in the hour.")
    expected_meters = dy.Int32(
        nullable=True,
        min=1,
        description=(
            "Meters on the feeder by the topology; null in days computed before it was counted."
        ),
    )
    estimated_share = dy.Float64(
        min=0,
        max=1,
        description=(
            "Part of the reported energy, of either direction, that VEE had to estimate, 0 to 1."
        ),
    )
