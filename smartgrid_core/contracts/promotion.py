"""Tables of promotion: losses to pair models by, decisions of the gate, drift."""

import dataframely as dy

from smartgrid_core.contracts.columns import identifier, one_of, utc

OUTCOMES = ("promote", "refuse", "keep", "roll_back")
"""What a decision of the gate can be."""

DRIFT_KINDS = ("feature", "error")
"""What is measured: the distribution of a feature, or the loss of the forecasts."""


class BacktestLosses(dy.Schema):
    """One row per (backtest_id, series, model, issue_time): a forecast's means over its hours.

    Rows of the newest few backtests are kept.
    """

    backtest_id = identifier(primary_key=True, description="The backtest in `load_backtest`.")
    series = identifier(
        primary_key=True, description='The feeder_id; "grid" is the sum of all feeders.'
    )
    model = identifier(primary_key=True, description="The forecaster or naive row.")
    issue_time = utc(
        primary_key=True, description="The instant up to which the forecast knows the past, UTC."
    )
    hours = dy.Int64(min=1, description="Hours of the forecast that were scored.")
    pinball = dy.Float64(
        min=0, description="Mean pinball loss over P10, P50, P90 and these hours, kW."
    )
    mae = dy.Float64(min=0, description="Mean |P50 - actual| over these hours, kW.")
    coverage = dy.Float64(
        min=0, max=1, description="Share of these hours whose load lies within [P10, P90], 0 to 1."
    )
    scored_at = utc(description="When the backtest was scored, UTC.")


class PromotionDecisions(dy.Schema):
    """One row per (model, version, decided_at, condition): a line of a decision of the gate.

    `decision` and `reason` are the whole decision's: a challenger is promoted or refused, a version
    on trial promoted, kept on trial or rolled back.
    """

    model = identifier(primary_key=True, description="The registered model's name.")
    version = identifier(primary_key=True, description="The version that was judged.")
    decided_at = utc(
        primary_key=True,
        description="When it was decided, UTC; the same for all lines of a decision.",
    )
    condition = identifier(
        primary_key=True, description="Name of the line, such as `beats_champion` or `coverage`."
    )
    passed = dy.Bool(description="Whether the condition is met.")
    figure = dy.Float64(
        nullable=True,
        description=(
            "What was measured, in the condition's own unit; null where it could not be, or there"
            " is nothing to measure."
        ),
    )
    bound = dy.Float64(
        nullable=True,
        description=(
            "What the figure is held against, in the same unit; null where the condition has none."
        ),
    )
    sentence = dy.String(description="The line in words.")
    decision = one_of(*OUTCOMES, description="What became of the version, by all lines together.")
    reason = dy.String(description="The whole decision in words.")
    champion_version = identifier(
        nullable=True, description="The version that it was held against; null for none."
    )
    decided_by = identifier(description="The asset or job that decided.")


class ModelDrift(dy.Schema):
    """One row per (day, model_version, kind, name): whether what the model lives on has moved.

    A week that ends with `day` is measured. kind `feature`: the population stability index of a
    feature against the version's training days. kind `error`: the mean pinball loss of the served
    forecasts against the band of the version's backtest.
    """

    day = dy.Date(primary_key=True, description="The last UTC day of the week that was measured.")
    model_version = identifier(primary_key=True, description="The champion's version.")
    kind = one_of(
        *DRIFT_KINDS,
        primary_key=True,
        description=(
            "What is measured: the distribution of a feature, or the loss of the forecasts."
        ),
    )
    name = identifier(
        primary_key=True, description="The feature; of kind `error` always `pinball`."
    )
    figure = dy.Float64(
        nullable=True,
        min=0,
        description=(
            "The index, without unit, or the mean pinball loss, kW; null where too little is known."
        ),
    )
    bound = dy.Float64(
        nullable=True,
        min=0,
        description=(
            "The figure from which on it is drift, in the same unit; null where too little is "
            "known."
        ),
    )
    is_drifted = dy.Bool(description="Whether both are known and the figure is beyond the bound.")
