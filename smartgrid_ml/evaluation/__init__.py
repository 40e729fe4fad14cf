"""How good a forecast is: metrics, rolling-origin backtests, the report."""
