"""Tables of features: what a model may know about an hour at the moment it forecasts."""

import dataframely as dy

from smartgrid_core.contracts.columns import identifier, utc


class LoadFeatures(dy.Schema):
    """One row per (feeder_id, issue_time, hour_start): what was known at the issue time.

    `lead_hours` is hour_start - issue_time in hours, 0 for the first hour. `load_kw` is the
    target: mean power of the hour, null while it is not known. Loads in kW, temperatures in degrees
    Celsius, irradiance in W/m2, flags 0 or 1; null where the history does not tell.

    `same_hour_<n>d` is the load at the same local time of day, n days before the target (for
    horizons beyond a day: n days counted from the last known one); `latest_<n>h` the n-th last
    known hour; `mean_24h`, `mean_7d`, `mean_28d`, `min_24h`, `max_24h` cover the time up to the
    issue, `..._day_before` and `..._week_before` the same a day and a week earlier;
    `..._shifted` is a past hour moved by how much the last 24 hours differ from those of its time;
    `level_kw` is the mean size of the load over 28 days, always positive, the measure of scale;
    `level_24h_kw` and `level_1h_kw` are those of the last day and hour, at least a tenth of it.
    Weather is what had arrived at the issue time: `temperature_1d`, `irradiance_1d` of the same
    time of day on the last day known, `temperature_mean_...` up to the last hour known.
    """

    feeder_id = identifier(primary_key=True)
    issue_time = utc(primary_key=True)
    hour_start = utc(primary_key=True)
    load_kw = dy.Float64(nullable=True)
    lead_hours = dy.Float64(min=0)
    hour_of_day = dy.Float64(min=0, max_exclusive=24)
    hour_sin = dy.Float64(min=-1, max=1)
    hour_cos = dy.Float64(min=-1, max=1)
    day_of_week = dy.Float64(min=0, max=6)
    day_of_year_sin = dy.Float64(min=-1, max=1)
    day_of_year_cos = dy.Float64(min=-1, max=1)
    is_weekend = dy.Float64(min=0, max=1)
    is_holiday = dy.Float64(min=0, max=1)
    is_day_before_holiday = dy.Float64(min=0, max=1)
    is_day_after_holiday = dy.Float64(min=0, max=1)
    is_holiday_week_ago = dy.Float64(min=0, max=1)
    days_since_holiday = dy.Float64(min=0, max=7)
    days_to_holiday = dy.Float64(min=0, max=7)
    level_kw = dy.Float64(nullable=True, min_exclusive=0)
    level_24h_kw = dy.Float64(nullable=True, min_exclusive=0)
    level_1h_kw = dy.Float64(nullable=True, min_exclusive=0)
    same_hour_1d_kw = dy.Float64(nullable=True)
    same_hour_2d_kw = dy.Float64(nullable=True)
    same_hour_3d_kw = dy.Float64(nullable=True)
    same_hour_4d_kw = dy.Float64(nullable=True)
    same_hour_5d_kw = dy.Float64(nullable=True)
    same_hour_6d_kw = dy.Float64(nullable=True)
    same_hour_7d_kw = dy.Float64(nullable=True)
    same_hour_14d_kw = dy.Float64(nullable=True)
    same_hour_21d_kw = dy.Float64(nullable=True)
    same_hour_28d_kw = dy.Float64(nullable=True)
    same_hour_mean_7d_kw = dy.Float64(nullable=True)
    same_hour_min_7d_kw = dy.Float64(nullable=True)
    same_hour_max_7d_kw = dy.Float64(nullable=True)
    same_hour_mean_28d_kw = dy.Float64(nullable=True)
    same_hour_std_28d_kw = dy.Float64(nullable=True)
    same_weekday_mean_4w_kw = dy.Float64(nullable=True)
    latest_1h_kw = dy.Float64(nullable=True)
    latest_2h_kw = dy.Float64(nullable=True)
    latest_3h_kw = dy.Float64(nullable=True)
    latest_4h_kw = dy.Float64(nullable=True)
    latest_5h_kw = dy.Float64(nullable=True)
    latest_6h_kw = dy.Float64(nullable=True)
    latest_7h_kw = dy.Float64(nullable=True)
    latest_8h_kw = dy.Float64(nullable=True)
    latest_9h_kw = dy.Float64(nullable=True)
    latest_10h_kw = dy.Float64(nullable=True)
    latest_11h_kw = dy.Float64(nullable=True)
    latest_12h_kw = dy.Float64(nullable=True)
    latest_13h_kw = dy.Float64(nullable=True)
    latest_14h_kw = dy.Float64(nullable=True)
    latest_15h_kw = dy.Float64(nullable=True)
    latest_16h_kw = dy.Float64(nullable=True)
    latest_17h_kw = dy.Float64(nullable=True)
    latest_18h_kw = dy.Float64(nullable=True)
    latest_19h_kw = dy.Float64(nullable=True)
    latest_20h_kw = dy.Float64(nullable=True)
    latest_21h_kw = dy.Float64(nullable=True)
    latest_22h_kw = dy.Float64(nullable=True)
    latest_23h_kw = dy.Float64(nullable=True)
    latest_24h_kw = dy.Float64(nullable=True)
    mean_24h_kw = dy.Float64(nullable=True)
    mean_24h_day_before_kw = dy.Float64(nullable=True)
    mean_24h_week_before_kw = dy.Float64(nullable=True)
    mean_7d_kw = dy.Float64(nullable=True)
    mean_28d_kw = dy.Float64(nullable=True)
    min_24h_kw = dy.Float64(nullable=True)
    max_24h_kw = dy.Float64(nullable=True)
    same_hour_1d_shifted_kw = dy.Float64(nullable=True)
    same_hour_7d_shifted_kw = dy.Float64(nullable=True)
    temperature_1d_c = dy.Float64(nullable=True)
    temperature_mean_24h_c = dy.Float64(nullable=True)
    temperature_mean_7d_c = dy.Float64(nullable=True)
    irradiance_1d_wm2 = dy.Float64(nullable=True)
