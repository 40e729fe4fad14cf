"""Tables of promotion: losses to pair models by, decisions of the gate, drift."""

import dataframely as dy

from smartgrid_core.contracts.columns import identifier, one_of, utc

OUTCOMES = ("promote", "refuse", "keep", "roll_back")
"""What a decision of the gate can be."""

DRIFT_KINDS = ("feature", "error")
"""What is measured: the distribution of a feature, or the loss of the forecasts."""


class BacktestLosses(dy.Schema):
    """One row per (backtest_id, series, model, issue_time): a forecast's means over its hours.

    `hours` were scored; `pinball` over P10, P50, P90 and `mae` in the series' unit (kW), `coverage`
    is the share of hours within [P10, P90]. Rows of the newest few backtests are kept.
    """

    backtest_id = identifier(primary_key=True)
    series = identifier(primary_key=True)
    model = identifier(primary_key=True)
    issue_time = utc(primary_key=True)
    hours = dy.Int64(min=1)
    pinball = dy.Float64(min=0)
    mae = dy.Float64(min=0)
    coverage = dy.Float64(min=0, max=1)
    scored_at = utc()


class PromotionDecisions(dy.Schema):
    """One row per (model, version, decided_at, condition): a line of a decision of the gate.

    `decision` and `reason` are the whole decision's: a challenger is promoted or refused, a version
    on trial promoted, kept on trial or rolled back. `figure` is null where it could not be
    measured, `bound` where the condition has none. `champion_version` is what it was held against,
    null for none. `decided_by` is the asset or job.
    """

    model = identifier(primary_key=True)
    version = identifier(primary_key=True)
    decided_at = utc(primary_key=True)
    condition = identifier(primary_key=True)
    passed = dy.Bool()
    figure = dy.Float64(nullable=True)
    bound = dy.Float64(nullable=True)
    sentence = dy.String()
    decision = one_of(*OUTCOMES)
    reason = dy.String()
    champion_version = identifier(nullable=True)
    decided_by = identifier()


class ModelDrift(dy.Schema):
    """One row per (day, model_version, kind, name): whether what the model lives on has moved.

    kind `feature`: the population stability index of feature `name` over the days up to and with
    `day`, against the version's training days. kind `error`: the mean pinball loss of `name`'s
    served forecasts of those days, kW, against the band of its backtest. Figures beyond `bound`
    are drifted; both are null where there is too little to say.
    """

    day = dy.Date(primary_key=True)
    model_version = identifier(primary_key=True)
    kind = one_of(*DRIFT_KINDS, primary_key=True)
    name = identifier(primary_key=True)
    figure = dy.Float64(nullable=True, min=0)
    bound = dy.Float64(nullable=True, min=0)
    is_drifted = dy.Bool()
