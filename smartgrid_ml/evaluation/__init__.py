"""How good a forecast is: metrics, rolling-origin backtests, the report.

`backtest.backtest_models` is the way in; `metrics` defines the scores, `leaderboard` and `report`
show them.
"""
