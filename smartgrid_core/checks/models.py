"""Judgements on models: the backtest, the registered version, the one that answers, and drift."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import cast

import polars as pl

from smartgrid_core.checks.outcome import CheckOutcome, list_names
from smartgrid_core.model_protocols import Quantiles
from smartgrid_core.rollout.labels import OUTPUTS, STABLE, ServingState
from smartgrid_core.rollout.training_record import TRAINING_SPAN, explain_missing_params

LEAST_COVERAGE, MOST_COVERAGE = 0.5, 0.99
"""Of a band that should hold 80 % of the hours: beyond these it is no band of P10 to P90."""

MOST_UNEVEN_SHARE = 0.02
"""Of a backtest's series and issue times, that not all forecasters scored on the same hours.

A naive row has no answer where the same hour of the week before is missing, so a gap in the
readings or a new feeder always leaves a few. If the hours left out had lost twice the mean, a
fiftieth of them moves a mean loss by 2 %: forecasters that are so close are level on any board, and
the gate pairs hours itself.
"""

FEWEST_LEARNED_DAYS = 7
"""Before the backtest's first issue time: a week has every kind of day."""

FEWEST_REFERENCE_DAYS = 28
"""Of the champion's training: fewer do not show how much a week differs from the others anyway."""

OLDEST_REFERENCE = timedelta(days=180)
"""Between the champion's last training day and the judged one: by then the season has turned."""


def judge_load_backtest(
    board: pl.DataFrame, *, losses: pl.DataFrame, naive_rows: Sequence[str], pooled: str = "all"
) -> CheckOutcome:
    """Judge whether one backtest compares its forecasters fairly.

    Args:
        board: Rows of `LoadBacktest` of one backtest.
        losses: Rows of `BacktestLosses` of the same backtest.
        naive_rows: Names of the naive rows that every forecaster is compared with.
        pooled: The `series` of the rows that pool all series.

    Returns:
        The judgement: all forecasters scored on the same hours, but for `MOST_UNEVEN_SHARE` of
        the series and issue times, which gaps in the readings explain; every naive row present;
        and the best forecaster's band of a possible width. All faults are warnings.
    """
    overall = board.filter(pl.col("series") == pooled)
    scored = overall.filter(pl.col("error").is_null(), pl.col("pinball").is_not_null())
    models = sorted(scored["model"].to_list())
    hours = losses.filter(pl.col("model").is_in(models)).select(
        "model", "series", "issue_time", "hours"
    )
    compared = hours.group_by("series", "issue_time").agg(
        models=pl.col("model").n_unique(), lengths=pl.col("hours").n_unique()
    )
    uneven = compared.filter((pl.col("models") < len(models)) | (pl.col("lengths") > 1)).height
    uneven_share = uneven / max(compared.height, 1)
    missing = [name for name in naive_rows if name not in models]
    learned = scored.filter(~pl.col("model").is_in(list(naive_rows))).sort("pinball", "model")
    warnings = []
    if uneven_share > MOST_UNEVEN_SHARE:
        warnings.append(
            f"{uneven} of {compared.height} series and issue times ({uneven_share:.0%}) are not"
            f" scored alike by all forecasters, at most {MOST_UNEVEN_SHARE:.0%} may be"
        )
    if missing:
        warnings.append(f"naive rows without a score: {list_names(missing)}")
    if learned.height:
        best, coverage = learned.select("model", "coverage").row(0)
        if coverage is None or not LEAST_COVERAGE <= coverage <= MOST_COVERAGE:
            warnings.append(
                f"the band of {best} holds {coverage or 0:.0%} of the hours, 80 % meant"
            )
    return CheckOutcome(
        summary=f"{len(models)} of {overall.height} forecasters were scored on {compared.height}"
        " series and issue times",
        warnings=tuple(warnings),
        figures={
            "forecasters": len(models),
            "without_scores": list_names(sorted(set(overall["model"]) - set(models))) or "none",
            "uneven": uneven,
        },
    )


def judge_load_model(
    params: Mapping[str, str],
    *,
    inputs: Sequence[str],
    features: Sequence[str],
    golden_difference: float | None,
    golden_error: str | None = None,
    most_difference: float,
    tested_from: datetime | None,
) -> CheckOutcome:
    """Judge whether the registered version answers as it did offline and what chose it is sound.

    Args:
        params: What the registry holds of its training: `data_start`, `data_end`, `forecaster`.
        inputs: The inputs of its signature.
        features: The columns that a forecaster may be asked with.
        golden_difference: Largest relative difference to its offline answers, 1; None if the
            version has no golden batch or its signature does not answer.
        golden_error: Why there is no difference, in words.
        most_difference: The largest difference that counts as equal, 1.
        tested_from: The first issue time of the backtest that chose it; None if it is not known.

    Returns:
        The judgement; answers that differ are wrong rows, the others are warnings.
    """
    wrong_rows, warnings = [], []
    if golden_difference is None:
        reason = f": {golden_error}" if golden_error else ""
        wrong_rows.append(f"its signature does not answer the golden batch{reason}")
    elif not golden_difference <= most_difference:
        wrong_rows.append(f"its answers differ by {golden_difference:.1e} from the offline ones")
    unknown = [name for name in inputs if name not in features]
    if unknown:
        wrong_rows.append(f"its signature asks for what no feature is: {list_names(unknown)}")
    missing = [name for name in ("forecaster", "data_start", "data_end") if name not in params]
    if missing:
        warnings.append(f"the registry does not say its {list_names(missing)}")
    elif tested_from is None:
        warnings.append("the backtest that chose it is not on record")
    else:
        learned = tested_from - datetime.fromisoformat(params["data_start"])
        if learned < timedelta(days=FEWEST_LEARNED_DAYS):
            warnings.append(f"its backtest began {learned.days} days after its first reading")
        if datetime.fromisoformat(params["data_end"]) <= tested_from:
            warnings.append("it was not trained on the days that the backtest had held back")
    return CheckOutcome(
        summary=f"{params.get('forecaster', 'a forecaster')} trained on"
        f" {params.get('data_start', '?'):.10} .. {params.get('data_end', '?'):.10}",
        wrong_rows=tuple(wrong_rows),
        warnings=tuple(warnings),
        figures={"inputs": len(inputs), "golden_difference": str(golden_difference)},
    )


def judge_served_model(
    served: ServingState, *, champion: str | None, answers: Mapping[str, Quantiles | None] | None
) -> CheckOutcome:
    """Judge whether the server answers under every label with that label's version.

    Args:
        served: Which version bears which label, as the model repository says.
        champion: The version that the registry calls champion; None if there is none.
        answers: What the server said under each label about feeder-hours that can be forecast,
            kW; None where it did not answer. None for all as long as there is no such hour.

    Returns:
        The judgement. An impossible band is one of wrong rows, the rest are warnings: forecasts
        go on by what answers.
    """
    wrong_rows, warnings = [], []
    asked = {} if answers is None else {label: answers.get(label) for label in served.labels}
    for label, answer in asked.items():
        version = served.labels[label]
        if answer is None:
            warnings.append(f"nobody answers as {label}, version {version} should")
        elif answer.model_version != str(version):
            warnings.append(f"version {answer.model_version} answers as {label}, not {version}")
        if answer is not None and not _is_possible(answer.frame):
            wrong_rows.append(f"{label} answers with a band that is not P10 <= P50 <= P90")
    if served.stable is not None and champion != str(served.stable):
        warnings.append(
            f"version {served.stable} is {STABLE}, the registry's champion is {champion or 'none'}"
        )
    labels = [f"version {version} is {label}" for label, version in served.labels.items()]
    if answers is None:
        labels.append("no features yet: nothing to ask with")
    return CheckOutcome(
        summary="; ".join(labels) if served.labels else "no version is served yet",
        wrong_rows=tuple(wrong_rows),
        warnings=tuple(warnings),
        figures={"champion": champion or "none", **served.labels},
    )


def _is_possible(quantiles: pl.DataFrame) -> bool:
    p10, p50, p90 = (quantiles[name].cast(pl.Float64) for name in OUTPUTS)
    is_finite = all(bool(each.is_finite().fill_null(False).all()) for each in (p10, p50, p90))
    return is_finite and bool((p10 <= p50).all()) and bool((p50 <= p90).all())


def judge_model_drift(
    signs: pl.DataFrame, *, version: str, params: Mapping[str, str]
) -> CheckOutcome:
    """Judge whether the champion's drift is measured against enough and recent training days.

    Args:
        signs: Rows of `ModelDrift`, of whatever days and versions.
        version: The version that is the champion at present; its newest day is judged.
        params: What the registry holds of its training, with `data_start` and `data_end`.

    Returns:
        The judgement; all faults are warnings. A champion that nobody has looked at yet is none: it
        has just become one.
    """
    unrecorded = explain_missing_params(params, TRAINING_SPAN, version=version)
    if unrecorded is not None:
        return CheckOutcome(
            summary=f"the drift of version {version} cannot be judged", warnings=(unrecorded,)
        )
    own = signs.filter(pl.col("model_version") == version)
    day = cast(date | None, own["day"].max())
    if day is None:
        return CheckOutcome(summary=f"nobody looked for drift of version {version} yet")
    looked_at = own.filter(pl.col("day") == day)
    trained_from, trained_to = (datetime.fromisoformat(params[name]) for name in TRAINING_SPAN)
    reference_days = (trained_to - trained_from) / timedelta(days=1)
    age = datetime(day.year, day.month, day.day, tzinfo=trained_to.tzinfo) - trained_to
    unknown = looked_at.filter(pl.col("figure").is_null() | pl.col("bound").is_null())
    warnings = []
    if reference_days < FEWEST_REFERENCE_DAYS:
        warnings.append(
            f"the champion learned from {reference_days:.0f} days, {FEWEST_REFERENCE_DAYS} are"
            " needed to tell drift from chance"
        )
    if age > OLDEST_REFERENCE:
        warnings.append(f"the champion's training data end {age.days} days before {day}")
    if unknown.height == looked_at.height:
        warnings.append("no sign could be measured")
    return CheckOutcome(
        summary=f"{looked_at.height - unknown.height} of {looked_at.height} signs of {day} were"
        f" measured against {reference_days:.0f} days",
        warnings=tuple(warnings),
        figures={
            "signs": looked_at.height,
            "unknown": unknown.height,
            "reference_days": round(reference_days),
        },
    )
