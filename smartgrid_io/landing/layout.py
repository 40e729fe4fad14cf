"""What a file's columns mean: which table they fill, long or wide; pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import dataframely as dy
import polars as pl

from smartgrid_core.contracts.grid import GridTopology, Weather
from smartgrid_core.contracts.readings import MeterReadings, SensorData
from smartgrid_core.contracts.tables import to_table_name
from smartgrid_core.errors import LandingError
from smartgrid_core.readings.parsing import Dialect
from smartgrid_core.settings import Settings

DATASETS: dict[str, type[dy.Schema]] = {
    to_table_name(schema): schema for schema in (MeterReadings, SensorData, Weather, GridTopology)
}
"""Tables that a file can fill."""

TIME_NAMES = (
    "timestamp",
    "event_time",
    "time",
    "datetime",
    "date_time",
    "hour_start",
    "ts",
    "date",
)
"""How the time column may be called; the first that is there counts."""

SYNONYMS = {"lat": "latitude", "lon": "longitude", "lng": "longitude", "meter": "meter_id"} | {
    "sensor": "sensor_id",
    "customer": "customer_id",
    "node": "node_id",
    "kind": "reading_kind",
    "energy_kwh": "reading",
}

REQUIRED_COLUMNS: dict[type[dy.Schema], tuple[str, ...]] = {
    MeterReadings: ("meter_id", "reading", "timestamp"),
    SensorData: ("sensor_id", "sensor_type", "value", "timestamp"),
    Weather: ("station_id", "hour_start", "temperature_c"),
    GridTopology: ("node_id", "node_kind", "parent_id", "name", "latitude", "longitude"),
}
"""Columns without which no row of the file could be used."""

OPTIONAL_COLUMNS: dict[type[dy.Schema], tuple[str, ...]] = {
    MeterReadings: ("customer_id", "unit", "reading_kind", "event_id"),
    SensorData: ("unit", "latitude", "longitude", "metadata", "event_id"),
    Weather: ("humidity_pct", "wind_speed_ms", "irradiance_wm2", "cloud_cover_pct"),
    GridTopology: ("nominal_voltage_v", "rating_kw", "customer_id", "customer_kind"),
}

DISTINCTIVE_COLUMNS: dict[type[dy.Schema], tuple[str, ...]] = {
    GridTopology: ("node_id", "node_kind"),
    Weather: ("station_id", "temperature_c"),
    SensorData: ("sensor_id", "sensor_type"),
    MeterReadings: ("meter_id", "reading"),
}
"""Columns that give a table away, the most telling table first."""


@dataclass(frozen=True, slots=True)
class LandingLayout:
    """How the files of a landing folder are written; unset parts are recognised."""

    dataset: str | None = None
    """A name of DATASETS; None: by the columns."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Their column -> ours. In a wide table a column may be `sensor:type`, as in
    `{"Voltage": "house1:voltage"}`; `-` leaves a column out."""
    encoding: str | None = None
    """None: UTF-8, or UTF-16 by its mark."""
    dialect: Dialect = field(default_factory=Dialect)

    def __post_init__(self) -> None:
        if self.dataset is not None and self.dataset not in DATASETS:
            raise LandingError(
                f"dataset {self.dataset!r} is not one of {', '.join(DATASETS)}: "
                "mend SMARTGRID_LANDING_DATASET"
            )

    @classmethod
    def from_settings(cls, settings: Settings) -> "LandingLayout":
        """The layout that the settings `landing_...` describe."""
        return cls(
            dataset=settings.landing_dataset,
            columns=settings.landing_columns,
            encoding=settings.landing_encoding,
            dialect=Dialect(
                timezone=settings.landing_timezone,
                decimal_comma=settings.landing_decimal_comma,
                unit=settings.landing_unit,
                reading_kind=settings.landing_reading_kind,
                sensor_type=settings.landing_sensor_type,
                starts_interval_minutes=settings.landing_starts_interval_minutes,
            ),
        )


@dataclass(frozen=True, slots=True)
class WideColumn:
    """One meter's or sensor's column of a wide table."""

    theirs: str
    subject: str
    sensor_type: str | None = None


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """What a file's columns become: `names` is theirs -> ours; `wide` is empty for a long table."""

    schema: type[dy.Schema]
    names: Mapping[str, str]
    wide: tuple[WideColumn, ...] = ()
    shape: Literal["long", "wide"] = "long"


def normalise_name(name: str) -> str:
    """A column's name as it is compared: `Meter ID ` is `meter_id`."""
    return re.sub(r"[^0-9a-z]+", "_", name.strip().lower()).strip("_")


def recognise_columns(columns: Sequence[str], *, layout: LandingLayout) -> ColumnPlan:
    """The plan for a file with these columns.

    Raises LandingError naming what was expected, what was found and the mend.
    """
    doubles = sorted({name for name in columns if columns.count(name) > 1})
    if doubles:
        raise LandingError(f"column {doubles[0]!r} is there twice: rename one of them")
    ours = {name: _map_name(name, layout) for name in columns}
    found = set(ours.values())
    schema = DATASETS[layout.dataset] if layout.dataset else _recognise_table(found)
    known = {
        name
        for table in DATASETS.values()
        for name in (*REQUIRED_COLUMNS[table], *OPTIONAL_COLUMNS[table])
    }
    if schema in (None, MeterReadings, SensorData) and not (found & known) - {"timestamp", "unit"}:
        return _plan_wide_table(schema or _choose_wide_table(layout, ours), ours, layout)
    if schema is None:
        schema = _guess_table(found)
    names = dict(ours)
    if schema is Weather:
        names = {theirs: "hour_start" if n == "timestamp" else n for theirs, n in names.items()}
    if schema is SensorData and "value" not in names.values():
        names = {theirs: "value" if n == "reading" else n for theirs, n in names.items()}
    if schema is MeterReadings and "reading" not in names.values():
        names = {theirs: "reading" if n == "value" else n for theirs, n in names.items()}
    needed = [
        name
        for name in REQUIRED_COLUMNS[schema]
        if not (name == "sensor_type" and layout.dialect.sensor_type)
    ]
    missing = [name for name in needed if name not in names.values()]
    if missing:
        raise LandingError(
            f"column {missing[0]!r} is missing: a {to_table_name(schema)} file needs "
            f"{', '.join(needed)}; found {', '.join(columns)}. Name your columns in "
            f'SMARTGRID_LANDING_COLUMNS, such as {{"your column": "{missing[0]}"}}'
        )
    wanted = {*REQUIRED_COLUMNS[schema], *OPTIONAL_COLUMNS[schema]}
    time = _choose_time_column(ours, layout)
    used = {
        theirs: name
        for theirs, name in names.items()
        if name in wanted and (ours[theirs] != "timestamp" or theirs == time)
    }
    for theirs, name in used.items():
        rivals = [other for other, meant in used.items() if meant == name and other != theirs]
        if rivals:
            raise LandingError(
                f"columns {theirs!r} and {rivals[0]!r} both mean {name}: leave one out by "
                f'SMARTGRID_LANDING_COLUMNS, such as {{"{rivals[0]}": "-"}}'
            )
    return ColumnPlan(schema, used)


def refuse_nested(plan: ColumnPlan, types: Mapping[str, pl.DataType]) -> None:
    """Raise LandingError if a column that the plan takes holds lists, records or bytes."""
    for name in (*plan.names, *(column.theirs for column in plan.wide)):
        if types[name].is_nested() or types[name] == pl.Binary:
            raise LandingError(
                f"column {name!r} holds {types[name]}: write numbers, text or times there, or "
                f'leave it out by SMARTGRID_LANDING_COLUMNS {{"{name}": "-"}}'
            )


def _choose_time_column(ours: Mapping[str, str], layout: LandingLayout) -> str | None:
    """The column with the time: the one that the settings name, else the most telling name."""
    times = [theirs for theirs, name in ours.items() if name == "timestamp"]
    ranked = {name: rank for rank, name in enumerate(TIME_NAMES)}
    return min(
        times,
        key=lambda theirs: (
            -1 if theirs in layout.columns else ranked.get(normalise_name(theirs), 0)
        ),
        default=None,
    )


def _map_name(theirs: str, layout: LandingLayout) -> str:
    """What the settings call the column, else what it is commonly called."""
    if theirs in layout.columns:
        return layout.columns[theirs]
    name = normalise_name(theirs)
    if name in TIME_NAMES:
        return "timestamp"
    return SYNONYMS.get(name, name)


def _recognise_table(found: set[str]) -> type[dy.Schema] | None:
    """The table whose own columns are all there."""
    for schema, telling in DISTINCTIVE_COLUMNS.items():
        if found.issuperset(telling):
            return schema
    if {"sensor_id", "value"} <= found:
        return SensorData
    if {"meter_id", "value"} <= found:
        return MeterReadings
    return None


def _guess_table(found: set[str]) -> type[dy.Schema]:
    """The table of which most columns are there: the one that was probably meant."""
    names = found | {"hour_start"} if "timestamp" in found else found
    return max(
        REQUIRED_COLUMNS,
        key=lambda schema: len(
            names.intersection(REQUIRED_COLUMNS[schema] + OPTIONAL_COLUMNS[schema])
        ),
    )


def _choose_wide_table(layout: LandingLayout, ours: Mapping[str, str]) -> type[dy.Schema]:
    """Columns with a sensor type hold sensor data; plain ones are meters."""
    is_sensor = layout.dialect.sensor_type or any(":" in name for name in ours.values())
    return SensorData if is_sensor else MeterReadings


def _plan_wide_table(
    schema: type[dy.Schema], ours: Mapping[str, str], layout: LandingLayout
) -> ColumnPlan:
    """A time column and one column per meter or sensor."""
    time = _choose_time_column(ours, layout)
    if time is None:
        raise LandingError(
            f"no time column: one of {', '.join(TIME_NAMES)} is expected; found "
            f'{", ".join(ours)}. Name yours in SMARTGRID_LANDING_COLUMNS: {{"yours": "timestamp"}}'
        )
    columns = []
    for theirs, name in ours.items():
        mapped = layout.columns.get(theirs)
        if mapped == "-" or name in ("timestamp", "unit") or not theirs.strip():
            continue
        subject, _, kind = (mapped or theirs.strip()).partition(":")
        kind = kind or layout.dialect.sensor_type or ""
        if schema is SensorData and not kind:
            if mapped is None and any(":" in other for other in layout.columns.values()):
                continue
            raise LandingError(
                f"what does column {theirs!r} measure? Say it in SMARTGRID_LANDING_COLUMNS, such "
                f'as {{"{theirs}": "sensor1:voltage"}}, or for all in SMARTGRID_LANDING_SENSOR_TYPE'
            )
        columns.append(WideColumn(theirs, subject, kind or None))
    if not columns:
        raise LandingError(f"no meter or sensor column beside the time: found {', '.join(ours)}")
    return ColumnPlan(schema, {time: "timestamp"}, tuple(columns), "wide")
