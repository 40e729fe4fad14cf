"""Tables of what arrives: raw readings, their revisions, what was refused, what was landed."""

import dataframely as dy

from smartgrid_core.contracts.columns import identifier, one_of, utc

SENSOR_TYPES = ("voltage", "current", "power", "frequency")
"""What a sensor measures: V (phase to neutral), A, kW (consumption positive), Hz."""

READING_KINDS = ("register", "interval")
"""register: the meter's ever-growing counter; interval: energy since the previous reading."""

FINDING_KINDS = (
    "register_reset",
    "register_rollover",
    "momentary_zero",
    "backward_step",
    "gap",
    "stuck_value",
    "duplicate_readings",
    "late_readings",
    "corrected_readings",
    "unit_slip",
    "voltage_sag",
    "spike",
)
"""What can be wrong with readings, by the trace that it leaves."""


class SensorData(dy.Schema):
    """One row per (sensor_id, sensor_type, event_time); `value` in V, A, kW or Hz by `sensor_type`.

    `latitude` and `longitude` in degrees WGS 84; `metadata` is JSON text.
    """

    event_id = identifier()
    sensor_id = identifier(primary_key=True)
    sensor_type = one_of(*SENSOR_TYPES, primary_key=True)
    value = dy.Float64()
    latitude = dy.Float64(nullable=True, min=-90, max=90)
    longitude = dy.Float64(nullable=True, min=-180, max=180)
    event_time = utc(primary_key=True)
    ingested_at = utc()
    metadata = dy.String(nullable=True)


class MeterReadings(dy.Schema):
    """One row per (meter_id, reading_kind, event_time); `reading` in kWh.

    A register reading is the counter at `event_time`; an interval reading is the energy of the
    interval that ends at `event_time`.
    """

    event_id = identifier()
    meter_id = identifier(primary_key=True)
    customer_id = identifier(nullable=True)
    reading = dy.Float64()
    unit = one_of("kWh")
    reading_kind = one_of(*READING_KINDS, primary_key=True)
    event_time = utc(primary_key=True)
    ingested_at = utc()


class RegisterBrackets(dy.Schema):
    """The register readings that surround a day: up to four on each side, for every meter.

    One row per (day, meter_id, event_time). `reading` in kWh. A reading exactly at the day's start
    belongs to the day itself. With the day's own readings they are all that the day's interval
    energy depends on.
    """

    day = dy.Date(primary_key=True)
    meter_id = identifier(primary_key=True)
    event_time = utc(primary_key=True)
    reading = dy.Float64()
    side = one_of("before", "after")


class ReadingRevisions(dy.Schema):
    """What a reading said before a later file or message changed it; one row per replacement.

    `subject_id` is a sensor_id or meter_id, `quantity` a sensor_type or reading_kind.
    """

    revision_id = identifier(primary_key=True)
    dataset = one_of("sensor_data", "meter_readings")
    subject_id = identifier()
    quantity = identifier()
    event_time = utc()
    old_value = dy.Float64()
    new_value = dy.Float64()
    replaced_at = utc()
    source = dy.String()


class Quarantine(dy.Schema):
    """A row that was refused: where it stood, why, and its raw text; nothing is lost.

    One row per (source_sha256, row_number, reason). `row_number` counts data rows from 1 (the
    header is row 0); 0 means the file as a whole.
    """

    source_sha256 = identifier(primary_key=True)
    row_number = dy.Int64(primary_key=True, min=0)
    reason = identifier(primary_key=True)
    source = dy.String()
    dataset = one_of("sensor_data", "meter_readings", "weather", "grid_topology", "unknown")
    column = dy.String(nullable=True)
    message = dy.String()
    raw = dy.String(nullable=True)
    quarantined_at = utc()


class LandedFiles(dy.Schema):
    """One row per file content (by SHA-256) that was landed to its end; sizes in bytes."""

    source_sha256 = identifier(primary_key=True)
    source = dy.String()
    dataset = one_of("sensor_data", "meter_readings", "weather", "grid_topology", "unknown")
    size_bytes = dy.Int64(min=0)
    rows_read = dy.Int64(min=0)
    rows_new = dy.Int64(min=0)
    rows_changed = dy.Int64(min=0)
    rows_repeated = dy.Int64(min=0)
    rows_refused = dy.Int64(min=0)
    landed_at = utc()


class RepeatedFiles(dy.Schema):
    """One row per file (by name) whose content had landed before; sizes in bytes.

    The folder offers it no more until somebody writes to it after `found_at`.
    """

    source = dy.String(primary_key=True, min_length=1)
    source_sha256 = identifier()
    size_bytes = dy.Int64(min=0)
    found_at = utc()


class TouchedDays(dy.Schema):
    """The journal of UTC days whose truth a landing changed; one row per (seq).

    `seq` grows without gaps mattering; a sensor remembers the last one it acted on.
    """

    seq = dy.Int64(primary_key=True, min=1)
    dataset = one_of("sensor_data", "meter_readings", "weather")
    day = dy.Date()
    touched_at = utc()


class RepeatedReadings(dy.Schema):
    """What one delivery said more than once: one row per (source, dataset, subject_id).

    `source` is the file, with the start of its content's hash, or the message; `rows` counts the
    rows too many, over [start_time, end_time). `subject_id` is a sensor_id or meter_id. The keyed
    tables hold each reading once; this is the trace of the rest.
    """

    source = identifier(primary_key=True)
    dataset = one_of("sensor_data", "meter_readings", primary_key=True)
    subject_id = identifier(primary_key=True)
    start_time = utc()
    end_time = utc()
    rows = dy.Int64(min=1)


class ReadingFindings(dy.Schema):
    """Everything that is wrong with the readings: one row per spell of a fault and its evidence.

    `subject_id` is a sensor_id or meter_id; the spell is [start_time, end_time); `evidence` is a
    sentence for people.
    """

    subject_id = identifier(primary_key=True)
    kind = one_of(*FINDING_KINDS, primary_key=True)
    start_time = utc(primary_key=True)
    evidence = dy.String(primary_key=True)
    end_time = utc()
