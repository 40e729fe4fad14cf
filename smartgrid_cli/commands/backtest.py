"""`smartgrid backtest`: our forecasters on anyone's file, against the naive rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.markup import escape

from smartgrid_cli.files.durations import format_duration, parse_clock, parse_duration
from smartgrid_cli.files.options import (
    ProgressLine,
    Teller,
    console,
    parse_step,
    parse_zone,
    show_progress,
)
from smartgrid_core.errors import ConfigurationError
from smartgrid_core.time import DAY, midnight

if TYPE_CHECKING:
    import polars as pl

    from smartgrid_cli.files.series import How, SeriesTable
    from smartgrid_ml.evaluation.backtest import Backtest
    from smartgrid_ml.forecasting.protocol import Forecaster, ServableForecaster
    from smartgrid_ml.forecasting.registry import SearchSettings
    from smartgrid_ml.progress import OnProgress, TrainingProgress

NEEDED_DAYS = 14
"""Training days below which quantiles of errors mean nothing."""

AUTOML = "automl"
"""Stands for every servable forecaster in --models."""


@dataclass(frozen=True, slots=True)
class BacktestProtocol:
    """How a backtest is run: one issue time per local day, `horizon` long, known to its eve.

    Attributes:
        test_start: First issue day.
        test_end: Day after the last issue day.
        horizon: How far each forecast reaches.
        issue_at: Local time of day of each forecast, since midnight.
        timezone: Local time zone of the file.
        country: ISO country of the public holidays; None for none.
        models: Names of the forecasters, the naive rows included.
        folds: Into how many parts the test span is cut; each part begins with a new training.
    """

    test_start: date
    test_end: date
    horizon: timedelta
    issue_at: timedelta
    timezone: str
    country: str | None
    models: Sequence[str]
    folds: int = 1


def backtest(
    *,
    data: Annotated[Path, typer.Option(help="CSV (also .gz) or Parquet file.")],
    time: Annotated[str, typer.Option(help="Column of times: start of the interval.")],
    target: Annotated[
        list[str],
        typer.Option(help="Column to forecast; repeat it or give a pattern such as 'MAC*'."),
    ],
    test_start: Annotated[str, typer.Option(help="First issue day, YYYY-MM-DD.")],
    test_end: Annotated[str, typer.Option(help="Day after the last issue day, YYYY-MM-DD.")],
    out: Annotated[Path, typer.Option(help="Folder for the results; made if absent.")],
    series: Annotated[str | None, typer.Option(help="Column that names a row's series.")] = None,
    exog: Annotated[
        list[str] | None,
        typer.Option(help="Column known ahead for the hour it stands at, such as a forecast."),
    ] = None,
    horizon: Annotated[str, typer.Option(help="How far each forecast reaches.")] = "24h",
    issue_at: Annotated[str, typer.Option(help="Local time of day of each forecast.")] = "00:00",
    timezone: Annotated[
        str, typer.Option(help="Local time zone; times without offset are on its clock.")
    ] = "UTC",
    country: Annotated[
        str | None, typer.Option(help="Public holidays of this ISO country: US, GB-ENG.")
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            help="Forecasters, repeated or with commas; naive rows always run. `automl` is all:"
            " boosting, keras, autokeras, tpot, h2o and their ensemble."
        ),
    ] = None,
    step: Annotated[
        str | None, typer.Option(help="Resample to this step; the file's own if not given.")
    ] = None,
    how: Annotated[str, typer.Option(help="Resample by mean (power) or sum (energy).")] = "mean",
    total: Annotated[
        str | None, typer.Option(help="Forecast the sum of the series, under this name.")
    ] = None,
    min_coverage: Annotated[
        float, typer.Option(help="Leave out series known for less than this share.")
    ] = 0.0,
    time_format: Annotated[
        str | None, typer.Option(help="Format of the times, such as '%d.%m.%Y %H:%M'.")
    ] = None,
    folds: Annotated[int, typer.Option(help="Train anew at the start of so many parts.")] = 1,
    budget: Annotated[
        str, typer.Option(help="Wall time of all AutoML searches together: 15m, 2h, 90s.")
    ] = "15m",
    memory: Annotated[
        int, typer.Option(help="Megabytes that one search may hold.", min=500)
    ] = 6_000,
    trials: Annotated[
        int | None, typer.Option(help="Models that one search may try at most.", min=1)
    ] = None,
) -> None:
    """Forecast a file's series day by day and score the forecasts against the naive rows.

    Each forecast knows the series up to its issue time, the calendar, and the --exog columns for
    the target hours themselves. Nothing from --test-start on is trained on.

    Searches share --budget equally. Ctrl-C ends one early and goes on with its best so far.

    Example: smartgrid backtest --data PJME_hourly.csv --time Datetime --target PJME_MW
    --timezone America/New_York --country US --test-start 2017-08-03 --test-end 2018-08-03
    --out pjme
    """
    from smartgrid_cli.display.backtest import show_leaderboard, show_searches
    from smartgrid_cli.files.output_folder import check_output_folder, open_output_folder
    from smartgrid_cli.files.series import read_series
    from smartgrid_cli.files.table import Columns
    from smartgrid_ml.export.artifact.saved_model import measure_saved_model_mb
    from smartgrid_ml.forecasting.registry import SearchSettings, share_budget

    if how not in {"mean", "sum"}:
        raise ConfigurationError(f"--how {how!r}: mean or sum")
    protocol = BacktestProtocol(
        test_start=_parse_day(test_start, option="--test-start"),
        test_end=_parse_day(test_end, option="--test-end"),
        horizon=parse_duration(horizon, option="--horizon"),
        issue_at=parse_clock(issue_at, option="--issue-at"),
        timezone=parse_zone(timezone),
        country=country,
        models=_parse_models(models),
        folds=folds,
    )
    check_output_folder(out)
    with show_progress() as tell:
        show_training = follow_training(tell)
        tell(f"reading {data}")
        table = read_series(
            data,
            Columns(
                time=time, targets=target, series=series, exog=exog or (), time_format=time_format
            ),
            timezone=timezone,
            step=None if step is None else parse_step(step),
            how=cast("How", how),
            total=total,
            min_coverage=min_coverage,
        )
        searching = SearchSettings(
            share_budget(
                parse_duration(budget, option="--budget").total_seconds(),
                trials=trials,
                memory_mb=memory,
            ),
            on_progress=show_training,
        )
        result = backtest_table(
            table,
            protocol=protocol,
            tell=tell,
            on_progress=show_training,
            searching=searching,
            # It is asked of servable ones only.
            artifact_mb=lambda model: measure_saved_model_mb(cast("ServableForecaster", model)),
        )
        tell("writing")
        with open_output_folder(out) as folder:
            write_results(result, table=table, protocol=protocol, out=folder, title=data.name)
    for note in table.notes:
        console.print(f"[dim]{escape(note)}[/dim]")
    show_searches(result.searches, console)
    show_leaderboard(result.leaderboard, console)
    files = "leaderboard.csv, forecasts.parquet and report.html"
    if result.searches:
        files = f"trials.csv, {files}"
    console.print(f"{files} are in {escape(str(out))}")


def backtest_table(
    table: "SeriesTable",
    *,
    protocol: BacktestProtocol,
    tell: "Teller" = lambda _: None,
    on_progress: "OnProgress" = lambda _: None,
    searching: "SearchSettings | None" = None,
    artifact_mb: "Callable[[Forecaster], float] | None" = None,
) -> "Backtest":
    """Return the backtest of regular series; times stay on the local wall clock, carried as UTC.

    Args:
        table: The series, with exogenous columns if there are any.
        protocol: Which forecasts are made and scored.
        tell: Called with what is being done, for people.
        on_progress: Called before each training.
        searching: How long and on what AutoML may search; None for the quick defaults.
        artifact_mb: Returns the size of a trained forecaster's artifact, MB; None leaves it out.

    Raises:
        ConfigurationError: For a span without data, or with too little before it.
    """
    from smartgrid_core.features.load import build_load_features
    from smartgrid_ml.evaluation.backtest import BacktestSettings, backtest_models
    from smartgrid_ml.forecasting.registry import QUICK_SEARCH, create_forecaster

    issues = _list_issue_times(table, protocol=protocol)
    tell(f"features of {table.loads['feeder_id'].n_unique()} series, {len(issues)} days")
    features = build_load_features(
        table.loads,
        issue_times=issues,
        horizon_hours=max(1, -(-protocol.horizon // timedelta(hours=1))),
        timezone="UTC",
        country=protocol.country,
        step=table.step,
    )
    return backtest_models(
        _add_exogenous(features, table.exog),
        BacktestSettings(
            models=protocol.models,
            test_start=midnight(protocol.test_start),
            test_end=midnight(protocol.test_end),
            folds=max(1, protocol.folds),
        ),
        make=lambda name: create_forecaster(name, searching=searching or QUICK_SEARCH),
        artifact_mb=artifact_mb,
        on_progress=on_progress,
    )


def follow_training(line: ProgressLine) -> "OnProgress":
    """Return what shows on the line how far a training is; the end of a search stays to be read."""
    from smartgrid_ml.progress import SearchProgress, pass_time

    training = ""

    def show_training(progress: "TrainingProgress") -> None:
        nonlocal training
        if isinstance(progress, SearchProgress) and progress.has_ended:
            line.keep(progress.describe())
            line(training)
            return
        if not isinstance(progress, SearchProgress):
            training = progress.describe()
        reported = monotonic()
        line.follow(lambda: pass_time(progress, seconds=monotonic() - reported).describe())

    return show_training


def write_results(
    result: "Backtest", *, table: "SeriesTable", protocol: BacktestProtocol, out: Path, title: str
) -> None:
    """Write leaderboard.csv, forecasts.parquet (times in UTC), report.html, trials.csv if any.

    Args:
        result: Scores and forecasts of all models.
        table: The series that were forecast.
        protocol: How the backtest was run.
        out: Folder of the files.
        title: Name of the file, for the report.
    """
    import polars as pl

    from smartgrid_cli.display.backtest import LEADERBOARD_COLUMNS
    from smartgrid_cli.files.timestamps import convert_wall_to_utc
    from smartgrid_ml.automl.trials import build_trials_table
    from smartgrid_ml.evaluation.report import render_report

    failed = result.leaderboard["error"].is_not_null().any()
    columns = [*LEADERBOARD_COLUMNS, *(["error"] if failed else [])]
    result.leaderboard.select(columns).write_csv(out / "leaderboard.csv", float_precision=6)
    if result.searches:
        build_trials_table(result.searches).write_csv(out / "trials.csv", float_precision=6)
    zone = protocol.timezone
    forecasts = (
        result.forecasts.with_columns(
            convert_wall_to_utc(pl.col(name), timezone=zone) for name in ("issue_time", "time")
        )
        .with_columns(lead_hours=(pl.col("time") - pl.col("issue_time")).dt.total_minutes() / 60)
        .sort("model", "series", "issue_time", "time", "actual", nulls_last=True)
        .unique(["model", "series", "issue_time", "time"], keep="first", maintain_order=True)
    )
    forecasts.write_parquet(out / "forecasts.parquet")
    facts = [
        f"{table.loads['feeder_id'].n_unique()} series, step {format_duration(table.step)}",
        f"issue days {protocol.test_start} up to {protocol.test_end}, at "
        f"{format_clock(protocol.issue_at)} {zone}, horizon {format_duration(protocol.horizon)}",
        f"trained strictly before each of {protocol.folds} test spans"
        if protocol.folds > 1
        else "trained strictly before the test span, not trained again",
        *table.notes,
    ]
    page = render_report(result, title=f"Backtest of {title}", facts=facts)
    (out / "report.html").write_text(page, encoding="utf-8")


def format_clock(since_midnight: timedelta) -> str:
    """Return HH:MM of a time since midnight.

    >>> format_clock(timedelta(hours=9, minutes=30))
    '09:30'
    """
    minutes = since_midnight // timedelta(minutes=1)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _list_issue_times(table: "SeriesTable", *, protocol: BacktestProtocol) -> list[datetime]:
    """Return one issue time per local day, from a week after the first row to the test span's end.

    Raises ConfigurationError for a span without data, or with too little before it.
    """
    from smartgrid_cli.files.timestamps import find_time_span

    first, last = find_time_span(table.loads["hour_start"])
    start, end = midnight(protocol.test_start), midnight(protocol.test_end)
    if start >= end:
        raise ConfigurationError(
            f"--test-start {protocol.test_start} is not before --test-end {protocol.test_end}"
        )
    if protocol.issue_at % table.step:
        raise ConfigurationError(
            f"--issue-at {format_clock(protocol.issue_at)} is not on the grid of "
            f"{format_duration(table.step)}"
        )
    if start > last:
        raise ConfigurationError(
            f"the data end at {last:%Y-%m-%d %H:%M}: nothing to test from --test-start"
            f" {protocol.test_start} on"
        )
    begin = midnight(first.date()) + 7 * DAY
    training = (start - begin) // DAY
    if training < NEEDED_DAYS:
        raise ConfigurationError(
            f"too little history: the data begin on {first:%Y-%m-%d}, --test-start must be"
            f" {(begin + NEEDED_DAYS * DAY).date()} or later"
        )
    days = (min(end, midnight(last.date()) + DAY) - begin) // DAY
    issues = [begin + day * DAY + protocol.issue_at for day in range(days)]
    return [issue for issue in issues if issue <= last]


def _add_exogenous(features: "pl.DataFrame", exog: "pl.DataFrame | None") -> "pl.DataFrame":
    """Return the features with each exogenous column and its change since the day before."""
    import polars as pl

    if exog is None:
        return features
    names = [name for name in exog.columns if name not in {"feeder_id", "hour_start"}]
    key = ["feeder_id", "hour_start"]
    now = exog.rename({name: f"exog_{name}" for name in names})
    before = exog.select(
        "feeder_id",
        pl.col("hour_start") + DAY,
        *(pl.col(name).alias(f"before_{name}") for name in names),
    )
    joined = features.join(now, on=key, how="left", maintain_order="left").join(
        before, on=key, how="left", maintain_order="left"
    )
    return joined.with_columns(
        (pl.col(f"exog_{name}") - pl.col(f"before_{name}")).alias(f"exog_{name}_change_1d")
        for name in names
    ).drop(f"before_{name}" for name in names)


def _parse_models(wanted: Sequence[str] | None) -> list[str]:
    from smartgrid_ml.forecasting.registry import FORECASTERS, NAIVE_ROWS, SERVABLE

    names = [name.strip() for text in wanted or ["boosting"] for name in text.split(",")]
    names = [each for name in names for each in (SERVABLE if name == AUTOML else [name])]
    if unknown := [name for name in names if name not in FORECASTERS]:
        raise ConfigurationError(
            f"--models {unknown[0]!r}: there is no such forecaster; there are"
            f" {', '.join(FORECASTERS)}, and {AUTOML} for all that can be served"
        )
    return [*NAIVE_ROWS, *dict.fromkeys(name for name in names if name not in NAIVE_ROWS)]


def _parse_day(text: str, *, option: str) -> date:
    try:
        return date.fromisoformat(text[:10])
    except ValueError as error:
        raise ConfigurationError(f"{option} {text!r} is no day; write 2018-01-31") from error
