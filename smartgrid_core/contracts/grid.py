"""Tables of the grid itself: what hangs on what, its weather, the demo's planted faults."""

import dataframely as dy

from smartgrid_core.contracts.columns import identifier, one_of, utc

NODE_KINDS = ("substation", "feeder", "transformer", "meter", "sensor")
"""From the top down; a sensor hangs on whatever it watches."""


class GridTopology(dy.Schema):
    """One row per node of the distribution tree; the substation alone has no parent.

    It is the tree as it is now: a delivered tree takes the place of the one before, below its
    substations, and days are computed with the tree of the moment at which they are computed.
    `rating_kw` is the thermal limit of a feeder or transformer as active power, kW.
    `nominal_voltage_v` is phase to phase in V. A meter's `customer_kind` says what it feeds.
    """

    node_id = identifier(primary_key=True)
    node_kind = one_of(*NODE_KINDS)
    parent_id = identifier(nullable=True)
    name = dy.String()
    latitude = dy.Float64(min=-90, max=90)
    longitude = dy.Float64(min=-180, max=180)
    nominal_voltage_v = dy.Float64(nullable=True, min_exclusive=0)
    rating_kw = dy.Float64(nullable=True, min_exclusive=0)
    customer_id = identifier(nullable=True)
    customer_kind = one_of(
        "household", "commercial", "pv", "ev", "heat_pump", "agricultural", nullable=True
    )


class MeterPlaces(dy.Schema):
    """One row per meter with every node above it: the tree of `GridTopology`, flattened."""

    meter_id = identifier(primary_key=True)
    customer_id = identifier(nullable=True)
    customer_kind = dy.String(nullable=True)
    transformer_id = identifier()
    feeder_id = identifier()
    substation_id = identifier()


class Weather(dy.Schema):
    """One row per (station_id, hour_start): means over the hour that begins at `hour_start`.

    Temperature in degrees Celsius, humidity in percent, wind in m/s, irradiance (global
    horizontal) in W/m2, cloud cover in percent. `known_at` is when the row could first be used for
    a forecast; a value that is mended later keeps it. Null for rows of an archive, of which nobody
    recorded it.
    """

    station_id = identifier(primary_key=True)
    hour_start = utc(primary_key=True)
    temperature_c = dy.Float64(min=-90, max=60)
    humidity_pct = dy.Float64(nullable=True, min=0, max=100)
    wind_speed_ms = dy.Float64(nullable=True, min=0, max=120)
    irradiance_wm2 = dy.Float64(nullable=True, min=0, max=1500)
    cloud_cover_pct = dy.Float64(nullable=True, min=0, max=100)
    known_at = utc(nullable=True)


class PlantedFaults(dy.Schema):
    """The demo's ground truth: one row per planted fault, over [start_time, end_time).

    `magnitude` is in the unit that `kind` implies: kWh for a reset's lost register, factor for a
    unit slip or overload, kW for a spike, V for a sag, share of energy not metered for theft, share
    of the value for a shift, a drift (at its end) or an imbalance, rows for duplicates.
    """

    fault_id = identifier(primary_key=True)
    kind = one_of(
        "register_reset",
        "register_rollover",
        "momentary_zero",
        "backward_step",
        "gap",
        "stuck_value",
        "duplicate_readings",
        "late_readings",
        "unit_slip",
        "voltage_sag",
        "theft",
        "feeder_overload",
        "spike",
        "level_shift",
        "drift",
        "phase_imbalance",
    )
    subject_kind = one_of("meter", "sensor", "feeder")
    subject_id = identifier()
    start_time = utc()
    end_time = utc()
    magnitude = dy.Float64(nullable=True)
    description = dy.String()
