"""`smartgrid anomalies`: our detectors on anyone's file, judged by its labels if it has them."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from smartgrid_cli.files.durations import format_duration
from smartgrid_cli.files.options import console, parse_step, parse_zone, show_progress
from smartgrid_core.errors import ConfigurationError

if TYPE_CHECKING:
    from smartgrid_cli.files.anomaly_rows import FileAnomalies
    from smartgrid_cli.files.readings import Readings

PHASES = 3


def anomalies(
    *,
    data: Annotated[Path, typer.Option(help="CSV (also .gz) or Parquet file.")],
    time: Annotated[str, typer.Option(help="Column of times: start of the interval.")],
    target: Annotated[
        list[str],
        typer.Option(help="Column of readings; repeat it or give a pattern such as 'MAC*'."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the results; made if absent.")],
    series: Annotated[str | None, typer.Option(help="Column that names a row's series.")] = None,
    label: Annotated[
        str | None, typer.Option(help="Column of labels, 0 and 1: judge what is found by it.")
    ] = None,
    exog: Annotated[
        list[str] | None, typer.Option(help="Column that explains readings: weather.")
    ] = None,
    timezone: Annotated[
        str, typer.Option(help="Local time zone; times without offset are on its clock.")
    ] = "UTC",
    country: Annotated[
        str | None, typer.Option(help="Public holidays of this ISO country: US, GB-ENG.")
    ] = None,
    step: Annotated[
        str | None, typer.Option(help="Average rows to this step; the file's own if not given.")
    ] = None,
    begin: Annotated[
        str | None,
        typer.Option("--from", help="Tell and judge from this day on; what is before is history."),
    ] = None,
    habits: Annotated[
        bool,
        typer.Option(
            "--habits", help="What came on four occasions is a habit, as for the daily watch."
        ),
    ] = False,
    past_only: Annotated[
        bool,
        typer.Option(
            "--past-only", help="Leave the first week unjudged, use no later weeks for it."
        ),
    ] = False,
    threshold: Annotated[
        float | None, typer.Option(help="Flag from this score on; the detectors' own if not given.")
    ] = None,
    limits: Annotated[
        list[str] | None,
        typer.Option(help="Allowed range LOW,HIGH of all series, or NAME=LOW,HIGH of some."),
    ] = None,
    phases: Annotated[
        list[str] | None, typer.Option(help="Three columns A,B,C that are one quantity's phases.")
    ] = None,
    time_format: Annotated[
        str | None, typer.Option(help="Format of the times, such as '%d.%m.%Y %H:%M'.")
    ] = None,
) -> None:
    """Find what is unusual in a file's series, and say why.

    Each reading is held against what its series usually does at that hour and kind of day, its
    neighbours and the --exog columns. anomalies.parquet, scores.parquet (every row), metrics.json
    (with --label) and report.html are written together or not at all.

    Example: smartgrid anomalies --data Overview.csv --time DeviceTimeStamp --target OTI
    --target ATI --label OTI_A --limits OTI=0,120 --out transformer
    """
    from smartgrid_cli.files.anomaly_rows import assign_to_rows, select_since
    from smartgrid_cli.files.detect_file import DetectionSettings, detect_anomalies
    from smartgrid_cli.files.output_folder import check_output_folder, open_output_folder
    from smartgrid_cli.files.readings import read_readings
    from smartgrid_cli.files.table import Columns

    asked = DetectionSettings(
        timezone=parse_zone(timezone),
        country=parse_country(country),
        threshold=threshold,
        limits=parse_limits(limits or ()),
        phases=parse_phases(phases or ()),
        peers=["*"] if series is not None else [name for name in target if "*" in name],
        past_only=past_only,
        habits=habits,
    )
    first = None if begin is None else parse_begin(begin, timezone=timezone)
    wanted_step = None if step is None else parse_whole_minutes(step)
    check_output_folder(out)
    with show_progress() as tell:
        tell(f"reading {data}")
        readings = read_readings(
            data,
            Columns(
                time=time,
                targets=target,
                series=series,
                exog=exog or (),
                time_format=time_format,
                label=label,
            ),
            timezone=timezone,
            step=wanted_step,
        )
        names = readings.grid["series"].n_unique()
        tell(f"looking at {readings.grid.height:,} steps of {names} series")
        found = assign_to_rows(readings, detect_anomalies(readings, asked, tell=tell))
        if first is not None:
            found = select_since(found, first)
            if found.rows.is_empty():
                raise ConfigurationError(f"--from {begin}: {data} has no rows from then on")
        tell("writing")
        with open_output_folder(out) as folder:
            metrics = write_results(
                found,
                folder,
                readings=readings,
                label=label,
                shared_label=series is None,
                title=data.name,
            )
    for note in readings.notes:
        console.print(f"[dim]{escape(note)}[/dim]")
    show_anomalies(metrics, console)
    console.print(
        f"anomalies.parquet, scores.parquet, metrics.json and report.html are in {escape(str(out))}"
    )


def write_results(
    found: "FileAnomalies",
    folder: Path,
    *,
    readings: "Readings",
    label: str | None,
    shared_label: bool,
    title: str,
) -> dict[str, Any]:
    """Write the four files of a result and return the content of metrics.json.

    Args:
        found: Anomalies and scores at the file's own times.
        folder: Where anomalies.parquet, scores.parquet, metrics.json and report.html are written.
        readings: The file that was read.
        label: Name of the label column; None if there is none.
        shared_label: Whether one label column speaks for the rows of all series.
        title: Name of the file, for the report.
    """
    from smartgrid_cli.files.anomaly_rows import as_written, count_kinds, write_anomalies
    from smartgrid_cli.files.timestamps import find_time_span
    from smartgrid_ml.mining.anomalies.evaluation.page import render_detection
    from smartgrid_ml.mining.anomalies.evaluation.summary import summarise_detection

    metrics: dict[str, Any] = {
        **summarise_detection(
            found.rows, step=readings.step, shared_label=shared_label, label=label
        ),
        **count_kinds(found),
        "series": found.rows["series"].n_unique(),
        "step_s": readings.step.total_seconds(),
        "notes": list(readings.notes),
    }
    shown_as = as_written(found, written_on=readings.written_on)
    clock = readings.written_on or "UTC"
    write_anomalies(shown_as, folder)
    (folder / "metrics.json").write_text(
        json.dumps(metrics, indent=2, allow_nan=False) + "\n", encoding="utf-8"
    )
    first, last = find_time_span(shown_as.rows["time"])
    facts = [
        f"{metrics['series']} series, step {format_duration(readings.step)}, "
        f"{found.rows.height:,} rows,"
        f" {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}, {clock}",
        f"{metrics['anomalies']} anomalies in {metrics['series_with_anomalies']} series",
        *readings.notes,
    ]
    page = render_detection(
        shown_as.rows,
        shown_as.spells,
        title=f"Anomalies of {title}",
        metrics=metrics,
        facts=facts,
        clock=clock,
    )
    (folder / "report.html").write_text(page, encoding="utf-8")
    return metrics


def show_anomalies(metrics: Mapping[str, Any], to: Console) -> None:
    """Print the number of anomalies by kind, and the figures if there are labels."""
    kinds = ", ".join(
        f"{count} {kind.replace('_', ' ')}" for kind, count in metrics["by_kind"].items()
    )
    to.print(
        f"[bold]{metrics['anomalies']} anomalies[/bold]" + (f": {escape(kinds)}" if kinds else "")
    )
    if metrics["labels"] is None:
        return
    rows, near, events = metrics, metrics["within_one_step"], metrics["by_event"]
    for what, figures in (("rows", rows), ("rows within a step", near), ("events", events)):
        rates = ", ".join(
            f"{name} {_format_figure(figures[name])}" for name in ("precision", "recall", "f1")
        )
        to.print(f"{what}: {rates}")
    to.print(
        f"score: PR-AUC {_format_figure(rows['pr_auc'])}, ROC-AUC "
        f"{_format_figure(rows['roc_auc'])};"
        f" {events['found']} of {events['events']} events found, {events['true_alarms']} of"
        f" {events['alarms']} alarms right"
    )


def parse_limits(texts: Sequence[str]) -> dict[str, tuple[float | None, float | None]]:
    """Return lowest and highest allowed value by pattern, from `LOW,HIGH` or `PATTERN=LOW,HIGH`.

    Either side may be empty. Raises ConfigurationError for a text that is neither.

    >>> parse_limits(["OTI=0,120", ",50"])
    {'OTI': (0.0, 120.0), '*': (None, 50.0)}
    """
    limits: dict[str, tuple[float | None, float | None]] = {}
    for text in texts:
        name, _, span = text.rpartition("=")
        try:
            low, high = (float(side) if side.strip() else None for side in span.split(","))
        except ValueError as error:
            raise ConfigurationError(
                f"--limits {text!r}: write LOW,HIGH such as 207,253, or NAME=LOW,HIGH"
            ) from error
        if low is not None and high is not None and not low < high:
            raise ConfigurationError(f"--limits {text!r}: {low:g} is not below {high:g}")
        limits[name or "*"] = (low, high)
    return limits


def parse_phases(texts: Sequence[str]) -> list[tuple[str, ...]]:
    """Return triples of columns from `A,B,C`. Raises ConfigurationError."""
    groups = [tuple(name.strip() for name in text.split(",")) for text in texts]
    for text, group in zip(texts, groups, strict=True):
        if len(set(group)) != PHASES:
            raise ConfigurationError(f"--phases {text!r}: write three columns such as VL1,VL2,VL3")
    return groups


def parse_whole_minutes(text: str) -> timedelta:
    """Return a step of whole minutes that divides a day. Raises ConfigurationError."""
    step = parse_step(text)
    if step % timedelta(minutes=1):
        raise ConfigurationError(f"--step {text!r} is no whole minute; write 1min, 15min or 1h")
    return step


def parse_country(country: str | None) -> str | None:
    """Return a country whose holidays are known, None for none. Raises ConfigurationError."""
    from smartgrid_core.features.calendar import list_public_holidays

    if country is None:
        return None
    some_day = date(2025, 1, 1)
    try:
        list_public_holidays(some_day, some_day, country=country)
    except ValueError as error:
        raise ConfigurationError(f"--country: {error}") from error
    return country


def parse_begin(text: str, *, timezone: str) -> datetime:
    """Return a local day or time as UTC. Raises ConfigurationError."""
    from zoneinfo import ZoneInfo

    try:
        begin = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(f"--from {text!r} is no day; write 2018-01-31") from error
    local = begin if begin.tzinfo else begin.replace(tzinfo=ZoneInfo(timezone))
    return local.astimezone(UTC)


def _format_figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
