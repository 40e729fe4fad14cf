"""Judgements on consumer profiles and outliers: whether they speak for the meters of the grid."""

import polars as pl

from smartgrid_core.checks.outcome import CheckOutcome, list_names

LEAST_PROFILED_SHARE = 0.5
"""Segments of less than half of the meters say little about the consumers of a grid."""

MOST_OUTLIER_SHARE = 0.2
"""If every fifth meter is like no other, the neighbourhood is too narrow, not the meters odd."""

FEWEST_METERS = 20
"""Of fewer profiles a share says nothing: two odd meters would be a tenth."""


def judge_consumer_profiles(profiles: pl.DataFrame, *, meters: int) -> CheckOutcome:
    """Judge whether enough of the grid's `meters` have a profile (a row of `ConsumerProfiles`)."""
    if not meters:
        return CheckOutcome("the grid has no meters yet")
    share = profiles.height / meters
    warnings = []
    if share < LEAST_PROFILED_SHARE:
        warnings.append(
            f"only {share:.0%} of the meters have a profile, {LEAST_PROFILED_SHARE:.0%} are needed"
        )
    return CheckOutcome(
        summary=f"{profiles.height} of {meters} meters have a profile",
        warnings=tuple(warnings),
        figures={"meters": meters, "profiles": profiles.height, "share": share},
    )


def judge_consumer_outliers(outliers: pl.DataFrame, *, profiles: pl.DataFrame) -> CheckOutcome:
    """Judge whether outliers are few, and each of them a meter that has a profile.

    Args:
        outliers: Rows of `ConsumerOutliers`.
        profiles: Rows of `ConsumerProfiles` from which they were found.

    Returns:
        The judgement; all faults are warnings.
    """
    strangers = outliers.join(profiles, on="meter_id", how="anti")["meter_id"].to_list()
    share = outliers.height / profiles.height if profiles.height else 0.0
    warnings = []
    if strangers:
        warnings.append(f"{len(strangers)} outliers have no profile: {list_names(strangers)}")
    if profiles.height >= FEWEST_METERS and share > MOST_OUTLIER_SHARE:
        warnings.append(
            f"{share:.0%} of the meters are outliers, more than {MOST_OUTLIER_SHARE:.0%}:"
            " the neighbourhood is too narrow"
        )
    return CheckOutcome(
        summary=f"{outliers.height} of {profiles.height} meters are like no others",
        warnings=tuple(warnings),
        figures={"outliers": outliers.height, "profiles": profiles.height, "share": share},
    )
