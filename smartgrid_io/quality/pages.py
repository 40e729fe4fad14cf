"""The pages of the Data Docs, made by Great Expectations of what the suites' runs have judged.

Great Expectations judges the same figures by the same definitions once more. Its verdict has to be
the one that was given; the page stands in any case.
"""

import re
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from smartgrid_io.quality.run import (
    SOURCE,
    WaitingPage,
    forget_page,
    list_waiting,
    lock_folder,
    read_waiting,
)
from smartgrid_io.quality.suites import Expectation, get_suite
from smartgrid_io.quality.verdicts import describe_expectation

if TYPE_CHECKING:
    from great_expectations.data_context.data_context.ephemeral_data_context import (
        EphemeralDataContext,
    )
    from great_expectations.data_context.types.base import DataContextConfig

RUNS_KEPT = 24
"""Per suite. The index page reads every kept result: 6 suites of 24 runs take about a second."""

SITE = "smartgrid"
BEACON = re.compile(r"https://great-expectations-web-assets[^\"')\s]*")

RESULTS = ".results"
"""Folder below the docs that holds the results that the pages are made of."""


def make_pages(docs_dir: Path) -> tuple[list[str], list[str]]:
    """Make the page of every run that waits for it, oldest first.

    Args:
        docs_dir: Folder of the Data Docs.

    Returns:
        The pages, relative to the docs; and in sentences where Great Expectations sees something
        else than what was decided when the rows were judged.
    """
    pages, differences = [], []
    for note in list_waiting(docs_dir):
        try:
            page, figures = read_waiting(note)
        except (FileNotFoundError, pl.exceptions.ComputeError, ValueError) as error:
            forget_page(note)  # it was written over meanwhile, or half of it is lost
            differences.append(f"{note.stem} cannot be read and gets no page: {error}")
            continue
        suite = get_suite(page.suite, register_capacity_kwh=page.register_capacity_kwh)
        expectations = suite.expectations()
        with _silence_warnings(), lock_folder(docs_dir):
            verdicts = _make_page(page, figures, expectations, docs_dir=docs_dir)
        pages.append(page.page)
        differences += [
            f"{page.suite} up to {page.at}: {describe_expectation(expectation)} was"
            f" {'refused' if place in page.failed else 'accepted'}, by Great Expectations not"
            for place, (expectation, met) in enumerate(zip(expectations, verdicts, strict=True))
            if met == (place in page.failed)
        ]
        _forget_if_unchanged(note, page)
    return pages, differences


def _forget_if_unchanged(note: Path, page: WaitingPage) -> None:
    """Remove what a page was made of, unless a newer run has taken its place meanwhile."""
    with lock_folder(note.parent):
        if note.exists() and read_waiting(note)[0].judged_at == page.judged_at:
            forget_page(note)


def to_great_expectations(expectations: Sequence[Expectation]) -> list[Any]:
    """Return the same expectations as Great Expectations' objects, in their order."""
    from great_expectations.expectations.metadata_types import FailureSeverity
    from great_expectations.expectations.registry import get_expectation_impl

    return [
        get_expectation_impl(each.type)(
            **each.kwargs, notes=each.notes, severity=FailureSeverity(each.severity)
        )
        for each in expectations
    ]


def validate_figures(
    page: WaitingPage, figures: pl.DataFrame, expectations: Sequence[Expectation], context: Any
) -> list[bool]:
    """Return whether Great Expectations finds each expectation met, in their order.

    Args:
        page: The run that is validated again.
        figures: The columns that are judged; text becomes categories, compared as integers.
        expectations: What is expected.
        context: Where Great Expectations keeps suites and results.
    """
    import great_expectations as gx

    frame = figures.with_columns(pl.col(pl.String).cast(pl.Categorical)).to_pandas()
    stated = context.suites.add_or_update(gx.ExpectationSuite(name=page.suite))
    stated.expectations = to_great_expectations(expectations)
    stated.save()
    batch = (
        context.data_sources.add_pandas(SOURCE)
        .add_dataframe_asset(page.suite)
        .add_batch_definition_whole_dataframe("window")
    )
    definition = context.validation_definitions.add_or_update(
        gx.ValidationDefinition(name=page.suite, data=batch, suite=stated)
    )
    result = definition.run(
        batch_parameters={"dataframe": frame},
        result_format="SUMMARY",
        run_id=gx.RunIdentifier(run_name=page.run_name, run_time=page.judged_at),
    )
    met = {_to_key(check.expectation_config): bool(check.success) for check in result.results}
    return [met[_to_key(each)] for each in expectations]


def _to_key(expectation: Any) -> tuple[str, str]:
    """Return what tells an expectation from the others of its suite, ours or theirs."""
    known = {
        name: expectation.kwargs.get(name)
        for name in ("column", "column_list", "min_value", "max_value")
    }
    return expectation.type, f"{known} {expectation.kwargs.get('mostly', 1.0)}"


def _make_page(
    page: WaitingPage, figures: pl.DataFrame, expectations: Sequence[Expectation], *, docs_dir: Path
) -> list[bool]:
    """Let Great Expectations judge and write its pages; return which expectations it finds met.

    Args:
        page: The run that the page is about.
        figures: The columns that are judged.
        expectations: What is expected.
        docs_dir: Folder of the Data Docs, which the caller holds.
    """
    from great_expectations.data_context.types.resource_identifiers import (
        ExpectationSuiteIdentifier,
        ValidationResultIdentifier,
    )

    _delete_old_runs(docs_dir / RESULTS / "validations" / page.suite)
    context = _open_context(docs_dir)
    verdicts = validate_figures(page, figures, expectations, context)
    key = next(
        key
        for key in context.validation_results_store.list_keys()
        if isinstance(key, ValidationResultIdentifier)
        and f"validations/{'/'.join(key.to_tuple())}.html" == page.page  # type: ignore[no-untyped-call]
    )
    resources: list[Any] = [key, ExpectationSuiteIdentifier(page.suite)]
    context.build_data_docs(resource_identifiers=resources)
    pages = ("index.html", f"expectations/{page.suite}.html", page.page)
    for written in [*(docs_dir / name for name in pages), *docs_dir.glob("static/**/*.css")]:
        _remove_beacon(written)
    return verdicts


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
def _silence_warnings() -> Iterator[None]:
    """Ignore warnings: Great Expectations imports a deprecated module and warns about its
    defaults.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
