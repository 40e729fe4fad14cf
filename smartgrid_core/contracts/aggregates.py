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
    """One row per (sensor_id, sensor_type, hour_bucket): statistics of the hour's readings.

    Values in the sensor's unit. `stddev_value` is the sample deviation, null for one reading.
    `expected_count` is how many readings a healthy sensor sends in an hour.
    """

    sensor_id = identifier(primary_key=True)
    sensor_type = one_of(*SENSOR_TYPES, primary_key=True)
    hour_bucket = utc(primary_key=True)
    avg_value = dy.Float64()
    min_value = dy.Float64()
    max_value = dy.Float64()
    stddev_value = dy.Float64(nullable=True, min=0)
    count = dy.Int64(min=1)
    expected_count = dy.Int64(min=1)


class MeterConsumption(dy.Schema):
    """One row per (meter_id, interval_start): energy drawn over the interval, kWh.

    Consumption positive; a feed-in register counts what the customer feeds in as a separate meter
    of kind `pv`. The interval is `interval_minutes` long and lies within one UTC day.
    `is_estimated` marks every energy that is not the difference of two sound readings, `quality`
    says why.
    """

    meter_id = identifier(primary_key=True)
    interval_start = utc(primary_key=True)
    interval_minutes = dy.Int32(min=1, max=1440)
    energy_kwh = dy.Float64(min=0)
    is_estimated = dy.Bool()
    quality = one_of(*INTERVAL_QUALITIES)


class DailyConsumption(dy.Schema):
    """One row per (meter_id, local_day): energy of the local calendar day, kWh.

    `hours` is the day's length: 23, 24 or 25. `covered_hours` is how much of it has energy rows.
    """

    meter_id = identifier(primary_key=True)
    local_day = dy.Date(primary_key=True)
    energy_kwh = dy.Float64(min=0)
    estimated_kwh = dy.Float64(min=0)
    hours = dy.Int32(min=23, max=25)
    covered_hours = dy.Float64(min=0, max=25)


class FeederLoad(dy.Schema):
    """One row per (feeder_id, hour_start): `load_kw`, net mean power over the hour, kW.

    Consumption positive, feed-in negative. `feeder_id` "grid" is the sum of all feeders. The load
    is that of the `meters` that reported; `expected_meters` hang on the feeder by the topology, so
    that a load that is low because meters are silent is told from one that is low. It is null in
    days computed before it was counted. `estimated_share` is the part of the reported energy that
    VEE had to estimate.
    """

    feeder_id = identifier(primary_key=True)
    hour_start = utc(primary_key=True)
    load_kw = dy.Float64()
    meters = dy.Int32(min=1)
    expected_meters = dy.Int32(nullable=True, min=1)
    estimated_share = dy.Float64(min=0, max=1)
