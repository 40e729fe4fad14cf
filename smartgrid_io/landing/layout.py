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
"""Columns that a table has and others do not; the first table whose columns are there counts."""


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
        """Return the layout that the settings `landing_...` describe."""
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
                oldest_days=settings.landing_oldest_days,
            ),
        )


@dataclass(frozen=True, slots=True)
class WideColumn:
    """One meter's or sensor's column of a wide table."""

    theirs: str
    """The column's name in the file."""
    subject: str
    """The meter's or sensor's id."""
    sensor_type: str | None = None
    """What a sensor measures; None for a meter."""


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """What a file's columns become."""

    schema: type[dy.Schema]
    """The contract of the table that the file fills."""
    names: Mapping[str, str]
    """Their column -> ours, for the columns that are used; of a wide table the time alone."""
    wide: tuple[WideColumn, ...] = ()
    """The meters' or sensors' columns of a wide table; empty for a long one."""
    shape: Literal["long", "wide"] = "long"
    """`long`: one row per reading; `wide`: one column per meter or sensor."""


def normalise_name(name: str) -> str:
    """Return a column's name as it is compared.

    >>> normalise_name("Meter ID ")
    'meter_id'
    """
    return re.sub(r"[^0-9a-z]+", "_", name.strip().lower()).strip("_")


def recognise_columns(columns: Sequence[str], *, layout: LandingLayout) -> ColumnPlan:
    """Return the plan for a file with these columns.

    Raises LandingError naming what was expected, what was found and the mend.

    >>> plan = recognise_columns(["Meter ID", "Value", "Time"], layout=LandingLayout())
    >>> plan.schema.__name__, plan.shape
    ('MeterReadings', 'long')
    >>> list(plan.names.values())
    ['meter_id', 'reading', 'timestamp']
    """
    _refuse_doubles(columns)
    ours = {name: _map_name(name, layout) for name in columns}
    names = set(ours.values())
    schema = DATASETS[layout.dataset] if layout.dataset else _recognise_table(names)
    if _is_wide(schema, names):
        return _plan_wide_table(schema or _choose_wide_table(layout, ours), ours, layout)
    return _plan_long_table(schema or _guess_table(names), ours, layout)


def refuse_nested(plan: ColumnPlan, types: Mapping[str, pl.DataType]) -> None:
    """Raise LandingError if a column that the plan takes holds lists, records or bytes."""
    for name in (*plan.names, *(column.theirs for column in plan.wide)):
        if types[name].is_nested() or types[name] == pl.Binary:
            raise LandingError(
                f"column {name!r} holds {types[name]}: write numbers, text or times there, or "
                f'leave it out by SMARTGRID_LANDING_COLUMNS {{"{name}": "-"}}'
            )


def _refuse_doubles(columns: Sequence[str]) -> None:
    """Raise LandingError naming the first column, by alphabet, that is there twice."""
    doubles = sorted({name for name in columns if columns.count(name) > 1})
    if doubles:
        raise LandingError(f"column {doubles[0]!r} is there twice: rename one of them")


def _is_wide(schema: type[dy.Schema] | None, names: set[str]) -> bool:
    """Return whether no column but time and unit has a known name: each is a meter or sensor."""
    known = {
        name
        for table in DATASETS.values()
        for name in (*REQUIRED_COLUMNS[table], *OPTIONAL_COLUMNS[table])
    }
    may_be_wide = schema in (None, MeterReadings, SensorData)
    return may_be_wide and not (names & known) - {"timestamp", "unit"}


def _plan_long_table(
    schema: type[dy.Schema], ours: Mapping[str, str], layout: LandingLayout
) -> ColumnPlan:
    """Return the plan of a table with one row per reading, hour or node.

    `ours`: their column -> our name for it. Raises LandingError for a missing column, or for two
    that mean the same.
    """
    names = _name_by_table(schema, ours)
    _require_columns(schema, names, layout)
    wanted = {*REQUIRED_COLUMNS[schema], *OPTIONAL_COLUMNS[schema]}
    time = _choose_time_column(ours, layout)
    used = {
        theirs: name
        for theirs, name in names.items()
        if name in wanted and (ours[theirs] != "timestamp" or theirs == time)
    }
    _refuse_rivals(used)
    return ColumnPlan(schema, used)


def _name_by_table(schema: type[dy.Schema], ours: Mapping[str, str]) -> dict[str, str]:
    """Return their column -> our name, where time and value are called as the table has them."""
    renamed: dict[str, str] = {}
    if schema is Weather:
        renamed = {"timestamp": "hour_start"}
    elif schema is SensorData and "value" not in ours.values():
        renamed = {"reading": "value"}
    elif schema is MeterReadings and "reading" not in ours.values():
        renamed = {"value": "reading"}
    return {theirs: renamed.get(name, name) for theirs, name in ours.items()}


def _require_columns(
    schema: type[dy.Schema], names: Mapping[str, str], layout: LandingLayout
) -> None:
    """Raise LandingError naming the first required column that is missing."""
    needed = [
        name
        for name in REQUIRED_COLUMNS[schema]
        if not (name == "sensor_type" and layout.dialect.sensor_type)
    ]
    missing = [name for name in needed if name not in names.values()]
    if missing:
        raise LandingError(
            f"column {missing[0]!r} is missing: a {to_table_name(schema)} file needs "
            f"{', '.join(needed)}; found {', '.join(names)}. Name your columns in "
            f'SMARTGRID_LANDING_COLUMNS, such as {{"your column": "{missing[0]}"}}'
        )


def _refuse_rivals(used: Mapping[str, str]) -> None:
    """Raise LandingError naming two columns that mean the same."""
    for theirs, name in used.items():
        rivals = [other for other, meant in used.items() if meant == name and other != theirs]
        if rivals:
            raise LandingError(
                f"columns {theirs!r} and {rivals[0]!r} both mean {name}: leave one out by "
                f'SMARTGRID_LANDING_COLUMNS, such as {{"{rivals[0]}": "-"}}'
            )


def _choose_time_column(ours: Mapping[str, str], layout: LandingLayout) -> str | None:
    """Return the time column: the one that the settings name, else the first of TIME_NAMES."""
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
    """Return what the settings call the column, else what it is commonly called."""
    if theirs in layout.columns:
        return layout.columns[theirs]
    name = normalise_name(theirs)
    if name in TIME_NAMES:
        return "timestamp"
    return SYNONYMS.get(name, name)


def _recognise_table(names: set[str]) -> type[dy.Schema] | None:
    """Return the table whose own columns are all there; None if there is no such table."""
    for schema, distinctive in DISTINCTIVE_COLUMNS.items():
        if names.issuperset(distinctive):
            return schema
    if {"sensor_id", "value"} <= names:
        return SensorData
    if {"meter_id", "value"} <= names:
        return MeterReadings
    return None


def _guess_table(names: set[str]) -> type[dy.Schema]:
    """Return the table of which most columns are there: the one that was probably meant."""
    candidates = names | {"hour_start"} if "timestamp" in names else names
    return max(
        REQUIRED_COLUMNS,
        key=lambda schema: len(
            candidates.intersection(REQUIRED_COLUMNS[schema] + OPTIONAL_COLUMNS[schema])
        ),
    )


def _choose_wide_table(layout: LandingLayout, ours: Mapping[str, str]) -> type[dy.Schema]:
    """Return SensorData for columns with a sensor type, MeterReadings for plain ones."""
    is_sensor = layout.dialect.sensor_type or any(":" in name for name in ours.values())
    return SensorData if is_sensor else MeterReadings


def _plan_wide_table(
    schema: type[dy.Schema], ours: Mapping[str, str], layout: LandingLayout
) -> ColumnPlan:
    """Return the plan of a time column and one column per meter or sensor.

    Raises LandingError for a table without either, or a sensor column whose type nothing says.
    """
    time = _choose_time_column(ours, layout)
    if time is None:
        raise LandingError(
            f"no time column: one of {', '.join(TIME_NAMES)} is expected; found "
            f'{", ".join(ours)}. Name yours in SMARTGRID_LANDING_COLUMNS: {{"yours": "timestamp"}}'
        )
    columns = tuple(
        column
        for theirs, name in ours.items()
        if name not in ("timestamp", "unit")
        and (column := _plan_wide_column(theirs, schema, layout)) is not None
    )
    if not columns:
        raise LandingError(f"no meter or sensor column beside the time: found {', '.join(ours)}")
    return ColumnPlan(schema, {time: "timestamp"}, columns, "wide")


def _plan_wide_column(
    theirs: str, schema: type[dy.Schema], layout: LandingLayout
) -> WideColumn | None:
    """Return whose readings a column holds; None for one that is left out."""
    mapped = layout.columns.get(theirs)
    if mapped == "-" or not theirs.strip():
        return None
    subject, _, sensor_type = (mapped or theirs.strip()).partition(":")
    sensor_type = sensor_type or layout.dialect.sensor_type or ""
    if schema is not SensorData or sensor_type:
        return WideColumn(theirs, subject, sensor_type or None)
    if mapped is None and any(":" in other for other in layout.columns.values()):
        return None
    raise LandingError(
        f"what does column {theirs!r} measure? Say it in SMARTGRID_LANDING_COLUMNS, such "
        f'as {{"{theirs}": "sensor1:voltage"}}, or for all in SMARTGRID_LANDING_SENSOR_TYPE'
    )
