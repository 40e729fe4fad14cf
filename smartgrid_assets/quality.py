"""Asset checks: rows against their contract, which blocks, and against their suite, which warns."""

from collections.abc import Mapping, Sequence
from datetime import date

import dagster as dg
import dataframely as dy

from smartgrid_core.checks.outcome import CheckOutcome
from smartgrid_core.contracts.tables import get_table, to_table_name
from smartgrid_core.markdown import render_table
from smartgrid_core.protocols import Clock, Lake, QualitySuites
from smartgrid_core.quality import SuiteResult, Violation, find_contract_violations
from smartgrid_core.time import Window

PARTITION = "dagster/partition"
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
"""How Dagster writes down which partitions a run is about."""


def make_schema_check(schema: type[dy.Schema]) -> dg.AssetChecksDefinition:
    """Rows keep their contract; what follows in the same run waits for it and stops if they do not.

    The asset has the table's name.
    """

    @dg.asset_check(
        asset=to_table_name(schema),
        name="schema",
        blocking=True,
        description="Every row keeps the table's contract: columns, types, ranges, unique keys.",
    )
    def check(
        context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake]
    ) -> dg.AssetCheckResult:
        window = choose_checked_window(context.run.tags, lake=lake, schema=schema)
        rows = lake.scan(schema, window=window).collect()
        findings = find_contract_violations(schema, rows)
        return dg.AssetCheckResult(
            passed=not findings,
            severity=dg.AssetCheckSeverity.ERROR,
            description=_summarise_findings(findings),
            metadata=_build_metadata(rows.height, findings),
        )

    return check


def make_quality_check(schema: type[dy.Schema]) -> dg.AssetChecksDefinition:
    """Rows meet their suite's expectations up to the window's end, or to now if that is earlier.

    The asset and the suite have the table's name.
    """

    @dg.asset_check(
        asset=to_table_name(schema),
        name="quality",
        description="Ranges, completeness, freshness and consistency; see the Data Docs.",
    )
    def check(
        context: dg.AssetCheckExecutionContext,
        lake: dg.ResourceParam[Lake],
        quality: dg.ResourceParam[QualitySuites],
        clock: dg.ResourceParam[Clock],
    ) -> dg.AssetCheckResult:
        window = choose_checked_window(context.run.tags, lake=lake, schema=schema)
        at = clock.now() if window is None else min(window.end, clock.now())
        rows = lake.scan(schema, window=window).collect()
        return to_check_result(quality.run(to_table_name(schema), rows, at=at))

    return check


def to_check_result(verdict: SuiteResult) -> dg.AssetCheckResult:
    """A suite's verdict as Dagster shows it, with the way to its Data Docs page.

    The page is made by the job `make_data_docs`, within the hour.
    """
    return dg.AssetCheckResult(
        passed=verdict.passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=_summarise_findings(verdict.failed),
        metadata={
            **_build_metadata(verdict.rows, verdict.failed),
            "data_docs": dg.MetadataValue.url(verdict.docs_link),
        },
    )


def to_outcome_result(outcome: CheckOutcome) -> dg.AssetCheckResult:
    """Show a judgement: an error where wrong rows would reach people, else a warning."""
    return dg.AssetCheckResult(
        passed=outcome.passed,
        severity=dg.AssetCheckSeverity.ERROR if outcome.wrong_rows else dg.AssetCheckSeverity.WARN,
        description="; ".join(outcome.faults) or outcome.summary,
        metadata={"summary": outcome.summary, **outcome.figures},
    )


def choose_checked_window(
    tags: Mapping[str, str], *, lake: Lake, schema: type[dy.Schema]
) -> Window | None:
    """What a check looks at: the run's days, the newest day for a run without any.

    None for a table that is kept whole, or that has no rows yet.
    """
    if get_table(schema).day_column is None:
        return None
    window = parse_window_tags(tags)
    if window is not None:
        return window
    days = lake.days(schema)
    return Window.of_day(days[-1]) if days else None


def parse_window_tags(tags: Mapping[str, str]) -> Window | None:
    """The UTC days that a run is about, by its tags; None for a run without partitions."""
    if PARTITION in tags:
        return Window.of_day(date.fromisoformat(tags[PARTITION]))
    if RANGE_START in tags and RANGE_END in tags:
        return Window.of_days(
            date.fromisoformat(tags[RANGE_START]), date.fromisoformat(tags[RANGE_END])
        )
    return None


def _summarise_findings(findings: Sequence[Violation]) -> str:
    if not findings:
        return "All expectations are met."
    worst = [finding for finding in findings if finding.severity != "info"] or findings
    more = f", and {len(worst) - 1} more" if len(worst) > 1 else ""
    return f"{worst[0].expectation} Observed: {worst[0].observed}{more}"


def _build_metadata(rows: int, findings: Sequence[Violation]) -> dict[str, dg.MetadataValue]:
    figures: dict[str, dg.MetadataValue] = {
        "rows": dg.MetadataValue.int(rows),
        "expectations_failed": dg.MetadataValue.int(
            sum(finding.severity != "info" for finding in findings)
        ),
        "unexpected_rows": dg.MetadataValue.int(
            sum(finding.unexpected_count for finding in findings)
        ),
    }
    if findings:
        figures["findings"] = dg.MetadataValue.md(
            render_table(
                ["expectation", "severity", "observed", "rows", "first of them"],
                (
                    (
                        *(finding.expectation, finding.severity, finding.observed),
                        *(finding.unexpected_count, "; ".join(finding.examples)),
                    )
                    for finding in findings
                ),
            )
        )
    return figures
