"""Running a suite over rows, and the Data Docs page that the run leaves behind."""

import fcntl
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from smartgrid_core.quality import SuiteResult, Violation, describe_row
from smartgrid_io.quality.suites import Suite, get_suite

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuiteValidationResult
    from great_expectations.data_context.data_context.ephemeral_data_context import (
        EphemeralDataContext,
    )
    from great_expectations.data_context.types.base import DataContextConfig

RUNS_KEPT = 24
"""Per suite. The index page reads every kept result: 6 suites of 24 runs take about a second."""

EXAMPLES = 5
"""Rows that a finding names: enough to know where to look."""

SITE = "smartgrid"
BEACON = re.compile(r"https://great-expectations-web-assets[^\"')\s]*")

RESULTS = ".results"
"""Folder below the docs that holds the results that the pages are made of."""


def run_suite(
    name: str,
    frame: pl.DataFrame,
    *,
    docs_dir: Path,
    docs_url: str | None,
    at: datetime,
    register_capacity_kwh: float = 1_000_000.0,
) -> SuiteResult:
    """Judge the rows of a table and add a page to the Data Docs.

    Args:
        name: Name of the table, such as `sensor_data`.
        frame: Rows of the table.
        docs_dir: Folder of the Data Docs.
        docs_url: Address at which that folder is served; None links to the file.
        at: The instant up to which rows should be there, UTC; silence is measured from it.
        register_capacity_kwh: Reading at which a meter's register starts again at zero, kWh.

    Returns:
        The verdict with its failed expectations and the link to the page.

    Raises:
        KeyError: The table has no suite.
    """
    suite = get_suite(name, register_capacity_kwh=register_capacity_kwh)
    figures = suite.figures(frame, at=at)
    with _silence_warnings():
        result, page = _validate_figures(suite, figures, docs_dir=docs_dir, at=at)
    findings = tuple(
        _to_violation(check, figures, named_by=suite.named_by)
        for check in result.results
        if not check.success
    )
    base = docs_url.rstrip("/") if docs_url else docs_dir.resolve().as_uri()
    return SuiteResult(
        suite=name,
        passed=all(finding.severity == "info" for finding in findings),
        rows=frame.height,
        failed=findings,
        docs_link=f"{base}/{page}",
    )


def _validate_figures(
    suite: Suite, figures: pl.DataFrame, *, docs_dir: Path, at: datetime
) -> tuple["ExpectationSuiteValidationResult", str]:
    """Return Great Expectations' result and its page, relative to the docs.

    All under a lock: the checks of several processes share one site. The clock only names the
    page.

    Args:
        suite: What is expected.
        figures: The figures that the suite judges, one row per row of the table.
        docs_dir: Folder of the Data Docs.
        at: The instant up to which rows should be there, UTC; names the run.
    """
    import great_expectations as gx
    from great_expectations.data_context.types.resource_identifiers import (
        ExpectationSuiteIdentifier,
        ValidationResultIdentifier,
    )

    docs_dir.mkdir(parents=True, exist_ok=True)
    expectations = suite.expectations()
    frame = _select_judged_columns(figures, expectations).to_pandas()
    run = gx.RunIdentifier(run_name=f"up_to_{at:%Y-%m-%dT%H%MZ}", run_time=datetime.now(UTC))
    with _lock_docs(docs_dir):
        _delete_old_runs(docs_dir / RESULTS / "validations" / suite.name)
        context = _open_context(docs_dir)
        stated = context.suites.add_or_update(gx.ExpectationSuite(name=suite.name))
        stated.expectations = expectations
        stated.save()
        batch = (
            context.data_sources.add_pandas("lake")
            .add_dataframe_asset(suite.name)
            .add_batch_definition_whole_dataframe("window")
        )
        definition = context.validation_definitions.add_or_update(
            gx.ValidationDefinition(name=suite.name, data=batch, suite=stated)
        )
        result = definition.run(
            batch_parameters={"dataframe": frame}, result_format="SUMMARY", run_id=run
        )
        key = next(
            key
            for key in context.validation_results_store.list_keys()
            if isinstance(key, ValidationResultIdentifier) and key.run_id == run
        )
        resources: list[Any] = [key, ExpectationSuiteIdentifier(suite.name)]
        context.build_data_docs(resource_identifiers=resources)
        parts: tuple[str, ...] = key.to_tuple()  # type: ignore[no-untyped-call]  # GX leaves it bare
        page = f"validations/{'/'.join(parts)}.html"
        pages = ("index.html", f"expectations/{suite.name}.html", page)
        for written in [*(docs_dir / name for name in pages), *docs_dir.glob("static/**/*.css")]:
            _remove_beacon(written)
    return result, page


def _open_context(docs_dir: Path) -> "EphemeralDataContext":
    import great_expectations as gx

    return gx.get_context(mode="ephemeral", project_config=_build_project_config(docs_dir))


def _build_project_config(docs_dir: Path) -> "DataContextConfig":
    """Return where suites, results and Data Docs lie; nothing is sent anywhere."""
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    def below(folder: str) -> Mapping[str, Any]:
        return {
            "class_name": "TupleFilesystemStoreBackend",
            "base_directory": str(docs_dir.resolve() / folder),
        }

    defaults = InMemoryStoreBackendDefaults(init_temp_docs_sites=False)
    stores = dict(defaults.stores)
    stores[defaults.expectations_store_name] = {
        "class_name": "ExpectationsStore",
        "store_backend": below(f"{RESULTS}/expectations"),
    }
    stores[defaults.validation_results_store_name] = {
        "class_name": "ValidationResultsStore",
        "store_backend": below(f"{RESULTS}/validations"),
    }
    return DataContextConfig(
        store_backend_defaults=defaults,
        stores=stores,
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False),
        data_docs_sites={
            SITE: {
                "class_name": "SiteBuilder",
                "show_how_to_buttons": False,
                "store_backend": below("."),
                "site_index_builder": {
                    "class_name": "DefaultSiteIndexBuilder",
                    "show_how_to_buttons": False,
                },
            }
        },
    )


def _select_judged_columns(figures: pl.DataFrame, expectations: list[Any]) -> pl.DataFrame:
    """Return the columns that are judged; text as categories, which pandas compares as integers."""
    columns: set[str] = set()
    for expectation in expectations:
        columns.update(getattr(expectation, "column_list", None) or [])
        columns.update(filter(None, [getattr(expectation, "column", None)]))
    return figures.select(
        pl.col(name).cast(pl.Categorical) if figures.schema[name] == pl.String else name
        for name in figures.columns
        if name in columns
    )


def _to_violation(check: Any, figures: pl.DataFrame, *, named_by: tuple[str, ...]) -> Violation:
    """Return a failed expectation in our words, with rows that break it.

    `check`: one result of Great Expectations. `named_by`: the columns that name a row.
    """
    config = check.expectation_config
    column = config.kwargs.get("column")
    text = _describe_expectation(config)
    observed = check.result.get("observed_value")
    if observed is None:
        percent = check.result.get("unexpected_percent", 0)
        observed = f"{percent:.3g} % of {figures.height} rows outside"
    condition = _find_broken(config)
    bad = figures.clear() if condition is None else figures.filter(condition)
    shown = list(dict.fromkeys([*named_by, *([column] if column else [])]))
    return Violation(
        expectation=f"{text}: {config.notes}" if config.notes else text,
        column=column,
        observed=str(observed),
        unexpected_count=bad.height,
        examples=tuple(
            describe_row(row) for row in bad.head(EXAMPLES).select(shown).iter_rows(named=True)
        )
        if condition is not None
        else (),
        severity=str(getattr(config.severity, "value", config.severity)),
    )


def _describe_expectation(config: Any) -> str:
    """Return what Great Expectations' configuration of an expectation expects, in words."""
    column = config.kwargs.get("column")
    low, high = config.kwargs.get("min_value"), config.kwargs.get("max_value")
    mostly = config.kwargs.get("mostly", 1.0)
    if config.type == "expect_column_values_to_be_between":
        limits = [f"at least {low:g}"] if low is not None else []
        limits += [f"at most {high:g}"] if high is not None else []
        share = f" in {mostly:.1%} of rows" if mostly < 1 else ""
        return f"{column} {' and '.join(limits)}{share}"
    if config.type == "expect_column_values_to_not_be_null":
        return f"{column} is never null"
    if config.type == "expect_compound_columns_to_be_unique":
        return f"one row per ({', '.join(config.kwargs['column_list'])})"
    if config.type == "expect_table_row_count_to_be_between":
        return f"at least {low} row"
    return f"{config.type} {column} {low} to {high}"


def _find_broken(config: Any) -> pl.Expr | None:
    """Return the condition of the rows that break an expectation; None if no single row does."""
    kwargs = config.kwargs
    if config.type == "expect_column_values_to_be_between":
        column = pl.col(kwargs.get("column"))
        return ~_is_between(column, kwargs.get("min_value"), kwargs.get("max_value"))
    if config.type == "expect_column_values_to_not_be_null":
        return pl.col(kwargs.get("column")).is_null()
    if config.type == "expect_compound_columns_to_be_unique":
        return pl.struct(kwargs["column_list"]).is_duplicated()
    return None


def _is_between(column: pl.Expr, low: float | None, high: float | None) -> pl.Expr:
    """Return the condition that a column lies within bounds; null does so, as in GX."""
    inside = pl.lit(value=True)
    if low is not None:
        inside &= column >= low
    if high is not None:
        inside &= column <= high
    return inside.fill_null(value=True)


def _remove_beacon(page: Path) -> None:
    """Remove the remote logo from a page: its address tells its owner who reads the page."""
    page.write_text(BEACON.sub("data:,", page.read_text("utf-8")), "utf-8")


def _delete_old_runs(results: Path) -> None:
    """Delete all but the newest runs of one suite; their pages go with the next index."""
    if not results.is_dir():
        return
    runs = sorted(
        (at for run in results.iterdir() if run.is_dir() for at in run.iterdir()),
        key=lambda run: run.name,
    )
    for run in runs[: max(0, len(runs) - RUNS_KEPT + 1)]:
        shutil.rmtree(run)
        if not any(run.parent.iterdir()):
            run.parent.rmdir()


@contextmanager
def _lock_docs(docs_dir: Path) -> Iterator[None]:
    with (docs_dir / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _silence_warnings() -> Iterator[None]:
    """Ignore warnings: Great Expectations imports a deprecated module and warns about its
    defaults.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
