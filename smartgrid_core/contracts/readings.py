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
    """One row per (sensor_id, sensor_type, event_time): a sensor's reading."""

    event_id = identifier(
        description=(
            "The source's own name of the event; without one, the start of the file's SHA-256, "
            "the row's number and, in a wide table, the column's."
        )
    )
    sensor_id = identifier(
        primary_key=True, description="The sensor that measured; a node of `grid_topology`."
    )
    sensor_type = one_of(
        *SENSOR_TYPES,
        primary_key=True,
        description=(
            "What was measured, which gives the unit of `value`: voltage in V (phase to neutral),"
            " current in A, power in kW (consumption positive), frequency in Hz."
        ),
    )
    value = dy.Float64(
        description="What was measured at `event_time`, in V, A, kW or Hz by `sensor_type`."
    )
    latitude = dy.Float64(
        nullable=True,
        min=-90,
        max=90,
        description="Degrees north, WGS 84, as the source sent it; null if it did not.",
    )
    longitude = dy.Float64(
        nullable=True,
        min=-180,
        max=180,
        description="Degrees east, WGS 84, as the source sent it; null if it did not.",
    )
    event_time = utc(primary_key=True, description="The instant of the measurement, UTC.")
    ingested_at = utc(
        description=(
            "When the stored value arrived, UTC; a later row that repeats the value leaves it."
        )
    )
    metadata = dy.String(
        nullable=True, description="What else the source said, as JSON text; null if nothing."
    )


class MeterReadings(dy.Schema):
    """One row per (meter_id, reading_kind, event_time): a meter's reading."""

    event_id = identifier(
        description=(
            "The source's own name of the event; without one, the start of the file's SHA-256, "
            "the row's number and, in a wide table, the column's."
        )
    )
    meter_id = identifier(
        primary_key=True, description="The meter that was read; a node of `grid_topology`."
    )
    customer_id = identifier(
        nullable=True, description="The customer as the source named it; null if it did not."
    )
    reading = dy.Float64(
        description=(
            "kWh: the counter at `event_time` for a register, the energy of the interval that "
            "ends there for an interval reading."
        )
    )
    unit = one_of(
        "kWh",
        description=(
            "Unit of `reading`: kWh, into which other units were converted at the landing."
        ),
    )
    reading_kind = one_of(
        *READING_KINDS,
        primary_key=True,
        description=(
            "`register` for the ever-growing counter, `interval` for the energy since the "
            "previous reading."
        ),
    )
    event_time = utc(
        primary_key=True,
        description="UTC: the instant at which a register was read, or the end of the interval.",
    )
    ingested_at = utc(
        description="When the stored reading arrived, UTC; a later row that repeats it leaves it."
    )


class RegisterBrackets(dy.Schema):
    """The register readings that surround a day: up to four on each side, for every meter.

    One row per (day, meter_id, event_time). With the day's own readings they are all that the day's
    interval energy depends on.
    """

    day = dy.Date(primary_key=True, description="The UTC day that the readings surround.")
    meter_id = identifier(primary_key=True, description="The meter.")
    event_time = utc(
        primary_key=True,
        description=(
            "When the register was read, UTC: before the day's start, or at or after its end. A "
            "reading exactly at the start belongs to the day itself."
        ),
    )
    reading = dy.Float64(description="The counter at `event_time`, kWh.")
    side = one_of(
        "before", "after", description="Whether the reading lies before or after the day."
    )


class ReadingRevisions(dy.Schema):
    """What a reading said before a later file or message changed it; one row per replacement."""

    revision_id = identifier(
        primary_key=True, description="A random identifier of the replacement."
    )
    dataset = one_of("sensor_data", "meter_readings", description="The table of the reading.")
    subject_id = identifier(description="The sensor_id or meter_id.")
    quantity = identifier(description="The sensor_type, or of a meter the reading_kind.")
    event_time = utc(description="The instant of the reading, UTC.")
    old_value = dy.Float64(
        description=(
            "The value that was replaced, in the unit of the reading: V, A, kW, Hz or kWh."
        )
    )
    new_value = dy.Float64(description="The value that replaced it, in the same unit.")
    replaced_at = utc(description="When the new value was loaded, UTC.")
    source = dy.String(
        description="What brought the new value: the file's name, or the kind of write."
    )


class Quarantine(dy.Schema):
    """A row that was refused: where it stood, why, and its raw text; nothing is lost.

    One row per (source_sha256, row_number, reason).
    """

    source_sha256 = identifier(
        primary_key=True, description="SHA-256 of the file's content, hexadecimal."
    )
    row_number = dy.Int64(
        primary_key=True,
        min=0,
        description=(
            "The data row in the file, counted from 1 (the header is row 0); 0 means the file as "
            "a whole."
        ),
    )
    reason = identifier(
        primary_key=True,
        description="Name of the rule that the row breaks, such as `unknown_unit`.",
    )
    source = dy.String(description="The file's name.")
    dataset = one_of(
        "sensor_data",
        "meter_readings",
        "weather",
        "grid_topology",
        "unknown",
        description=(
            "The table that the file fills; `unknown` where the file as a whole was refused."
        ),
    )
    column = dy.String(
        nullable=True,
        description=(
            "The column at fault, in a wide table the file's own columns; null for the file as a "
            "whole."
        ),
    )
    message = dy.String(description="What is wrong and how to mend it, as a sentence.")
    raw = dy.String(
        nullable=True,
        description=(
            "The row as JSON of what the source wrote, in a wide table the cells at fault; null "
            "for the file as a whole."
        ),
    )
    quarantined_at = utc(description="When the file was landed, UTC.")


class LandedFiles(dy.Schema):
    """One row per file content (by SHA-256) that was landed to its end, or refused as a whole."""

    source_sha256 = identifier(
        primary_key=True, description="SHA-256 of the file's content, hexadecimal."
    )
    source = dy.String(description="The file's name.")
    dataset = one_of(
        "sensor_data",
        "meter_readings",
        "weather",
        "grid_topology",
        "unknown",
        description=(
            "The table that the file fills; `unknown` where the file as a whole was refused."
        ),
    )
    size_bytes = dy.Int64(
        min=0, description="Size of the file as it lay there, packed or not, bytes."
    )
    rows_read = dy.Int64(min=0, description="New, changed, repeated and refused rows together.")
    rows_new = dy.Int64(min=0, description="Rows whose key was not stored before.")
    rows_changed = dy.Int64(
        min=0, description="Rows that replaced a stored value, or one earlier in the same file."
    )
    rows_repeated = dy.Int64(
        min=0,
        description=(
            "Rows without effect: they say what was known, or a later row of the file has their "
            "key."
        ),
    )
    rows_refused = dy.Int64(
        min=0,
        description=(
            "Rows that went to `quarantine`, each counted once however many rules it breaks."
        ),
    )
    landed_at = utc(description="When the file was landed, UTC.")


class RepeatedFiles(dy.Schema):
    """One row per file (by name) whose content had landed before.

    The folder offers it no more until somebody writes to it after `found_at`.
    """

    source = dy.String(primary_key=True, min_length=1, description="The file's name.")
    source_sha256 = identifier(description="SHA-256 of the file's content, hexadecimal.")
    size_bytes = dy.Int64(
        min=0, description="Size of the file as it lay there, packed or not, bytes."
    )
    found_at = utc(description="When the file was found to repeat known content, UTC.")


class TouchedDays(dy.Schema):
    """The journal of UTC days whose truth a landing changed; one row per (seq)."""

    seq = dy.Int64(
        primary_key=True,
        min=1,
        description=(
            "Grows in the order of commits, gaps do not matter; a sensor remembers the last one "
            "it acted on."
        ),
    )
    dataset = one_of(
        "sensor_data", "meter_readings", "weather", description="The table whose rows changed."
    )
    day = dy.Date(
        description=(
            "The UTC day to be computed again: readings or weather of it changed, or register "
            "readings that surround it."
        )
    )
    touched_at = utc(description="When the change was loaded, UTC.")


class RepeatedReadings(dy.Schema):
    """What one delivery said more than once: one row per (source, dataset, subject_id).

    The keyed tables hold each reading once; this is the trace of the rest.
    """

    source = identifier(
        primary_key=True,
        description="The file, with the start of its content's hash, or the message.",
    )
    dataset = one_of(
        "sensor_data",
        "meter_readings",
        primary_key=True,
        description="The table that the delivery fills.",
    )
    subject_id = identifier(primary_key=True, description="The sensor_id or meter_id.")
    start_time = utc(description="The first instant that was sent more than once, UTC.")
    end_time = utc(description="Just after the last instant that was sent more than once, UTC.")
    rows = dy.Int64(min=1, description="Rows too many.")


class ReadingFindings(dy.Schema):
    """Everything that is wrong with the readings: one row per spell of a fault and its evidence.

    A spell is [start_time, end_time).
    """

    subject_id = identifier(primary_key=True, description="The sensor_id or meter_id.")
    kind = one_of(
        *FINDING_KINDS,
        primary_key=True,
        description="What is wrong, by the trace that it leaves in the readings.",
    )
    start_time = utc(primary_key=True, description="Where the spell begins, UTC.")
    evidence = dy.String(
        primary_key=True, description="A sentence for people with the figures of the spell."
    )
    end_time = utc(description="Where the spell ends, UTC, itself not included.")
