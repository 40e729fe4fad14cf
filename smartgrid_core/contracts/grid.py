"""Tables of the grid itself: what hangs on what, its weather, the demo's planted faults."""

import dataframely as dy

from smartgrid_core.contracts.columns import identifier, one_of, utc

NODE_KINDS = ("substation", "feeder", "transformer", "meter", "sensor")
"""From the top down; a sensor hangs on whatever it watches."""


class GridTopology(dy.Schema):
    """One row per node of the distribution tree; the substation alone has no parent.

    It is the tree as it is now: a delivered tree takes the place of the one before, below its
    substations, and days are computed with the tree of the moment at which they are computed.
    """

    node_id = identifier(
        primary_key=True,
        description="The node; a meter's is its meter_id, a sensor's its sensor_id.",
    )
    node_kind = one_of(
        *NODE_KINDS,
        description=(
            "What the node is, from the substation down; a sensor hangs on whatever it watches."
        ),
    )
    parent_id = identifier(nullable=True, description="The node above; null for a substation.")
    name = dy.String(description="What people call the node.")
    latitude = dy.Float64(min=-90, max=90, description="Degrees north, WGS 84.")
    longitude = dy.Float64(min=-180, max=180, description="Degrees east, WGS 84.")
    nominal_voltage_v = dy.Float64(
        nullable=True,
        min_exclusive=0,
        description=(
            "Nominal voltage phase to phase, V; null where there is none of its own: a sensor then "
            "has that of its parent."
        ),
    )
    rating_kw = dy.Float64(
        nullable=True,
        min_exclusive=0,
        description=(
            "Thermal limit of a feeder or transformer as active power, kW; null where there is "
            "none."
        ),
    )
    customer_id = identifier(
        nullable=True,
        description="Whose meter it is; null for other nodes, or where it is not known.",
    )
    customer_kind = one_of(
        "household",
        "commercial",
        "pv",
        "ev",
        "heat_pump",
        "agricultural",
        nullable=True,
        description=(
            "What a meter feeds; `pv` counts what the customer feeds in. Null for other nodes, or"
            " where it is not known."
        ),
    )


class MeterPlaces(dy.Schema):
    """One row per meter with every node above it: the tree of `GridTopology`, flattened."""

    meter_id = identifier(primary_key=True, description="The meter.")
    customer_id = identifier(
        nullable=True, description="Whose meter it is; null where it is not known."
    )
    customer_kind = dy.String(
        nullable=True,
        description="What the meter feeds, as in `grid_topology`; null where it is not known.",
    )
    transformer_id = identifier(description="The nearest transformer above the meter.")
    feeder_id = identifier(description="The nearest feeder above the meter.")
    substation_id = identifier(description="The nearest substation above the meter.")


class Weather(dy.Schema):
    """One row per (station_id, hour_start): means over the hour that begins at `hour_start`.

    What the source does not say is null.
    """

    station_id = identifier(
        primary_key=True,
        description="Where the weather was measured, or the archive that it comes from.",
    )
    hour_start = utc(primary_key=True, description="Start of the hour, UTC.")
    temperature_c = dy.Float64(min=-90, max=60, description="Air temperature, degrees Celsius.")
    humidity_pct = dy.Float64(
        nullable=True, min=0, max=100, description="Relative humidity, percent."
    )
    wind_speed_ms = dy.Float64(nullable=True, min=0, max=120, description="Wind speed, m/s.")
    irradiance_wm2 = dy.Float64(
        nullable=True, min=0, max=1500, description="Global horizontal irradiance, W/m2."
    )
    cloud_cover_pct = dy.Float64(
        nullable=True, min=0, max=100, description="Share of the sky under cloud, percent."
    )
    known_at = utc(
        nullable=True,
        description=(
            "When the row could first be used for a forecast, UTC; a value that is mended later "
            "keeps it. Null for rows of an archive, of which nobody recorded it."
        ),
    )


class PlantedFaults(dy.Schema):
    """The demo's ground truth: one row per planted fault, over [start_time, end_time)."""

    fault_id = identifier(primary_key=True, description="Number of the fault, by its start.")
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
        "weak_joint",
        "spike",
        "level_shift",
        "drift",
        "phase_imbalance",
        description="What was planted.",
    )
    subject_kind = one_of("meter", "sensor", "feeder", description="What the fault is on.")
    subject_id = identifier(description="The meter, sensor or feeder.")
    start_time = utc(description="First instant of the fault, UTC.")
    end_time = utc(description="First instant after the fault, UTC.")
    magnitude = dy.Float64(
        nullable=True,
        description=(
            "In the unit that `kind` implies: kWh for a register that was reset, fell back or "
            "stood still, factor for a unit slip or overload, kW for a spike, V for a sag or a "
            "weak joint, share of energy not metered for theft, share of the value for a shift, a"
            " drift (at its end) or an imbalance, rows for duplicates; null for kinds without "
            "one."
        ),
    )
    description = dy.String(description="The fault in one sentence.")
