"""Load forecasters, all behind the protocols of `protocol`.

`registry.create_forecaster` is the way in; `day_ahead` forecasts with the served model.
"""
