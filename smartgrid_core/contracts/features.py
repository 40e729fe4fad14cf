"""Tables of features: what a model may know about an hour at the moment it forecasts."""

import dataframely as dy

from smartgrid_core.contracts.columns import identifier, utc


def _create_same_hour(days: int) -> dy.Float64:
    """Return the column of the load at the target's time of day, so many days before."""
    return dy.Float64(
        nullable=True,
        description=f"Load at the target's local time of day, {days} days before it, kW.",
    )


def _create_latest(hours: int) -> dy.Float64:
    """Return the column of the load so many hours before the issue."""
    return dy.Float64(
        nullable=True,
        description=f"Mean load of the hour that began {hours} h before the issue, kW.",
    )


class LoadFeatures(dy.Schema):
    """One row per (feeder_id, issue_time, hour_start): what was known at the issue time.

    Loads in kW, temperatures in degrees Celsius, irradiance in W/m2, flags 0 or 1; null where the
    history does not tell. Local times are those of the setting `timezone`. Beyond a horizon of a
    day "n days before" counts from the last known day, beyond a week "n weeks before" from the last
    known week. Weather is what had arrived at the issue time, averaged over the stations.
    """

    feeder_id = identifier(
        primary_key=True, description='The feeder; "grid" is the sum of all feeders.'
    )
    issue_time = utc(
        primary_key=True,
        description="When the forecast is made, UTC: known is every hour that began before it.",
    )
    hour_start = utc(primary_key=True, description="Start of the hour that is forecast, UTC.")
    load_kw = dy.Float64(
        nullable=True,
        description="The target: mean power of the hour, kW; null while it is not known.",
    )
    lead_hours = dy.Float64(
        min=0, description="hour_start - issue_time in hours, 0 for the first hour."
    )
    hour_of_day = dy.Float64(
        min=0,
        max_exclusive=24,
        description="Local time of day of the target, hours, 0 to below 24.",
    )
    hour_sin = dy.Float64(
        min=-1, max=1, description="Sine of `hour_of_day` as an angle, a day a turn."
    )
    hour_cos = dy.Float64(min=-1, max=1, description="Cosine of the same angle.")
    day_of_week = dy.Float64(min=0, max=6, description="Local weekday of the target; Monday is 0.")
    day_of_year_sin = dy.Float64(
        min=-1,
        max=1,
        description=(
            "Sine of the local day of the year as an angle, a year a turn, from 1 January."
        ),
    )
    day_of_year_cos = dy.Float64(min=-1, max=1, description="Cosine of the same angle.")
    is_weekend = dy.Float64(min=0, max=1, description="1 on a local Saturday or Sunday, else 0.")
    is_holiday = dy.Float64(min=0, max=1, description="1 on a public holiday, else 0.")
    is_day_before_holiday = dy.Float64(
        min=0, max=1, description="1 if the day after is a public holiday, else 0."
    )
    is_day_after_holiday = dy.Float64(
        min=0, max=1, description="1 if the day before is a public holiday, else 0."
    )
    is_holiday_week_ago = dy.Float64(
        min=0, max=1, description="1 if the day a week before is a public holiday, else 0."
    )
    days_since_holiday = dy.Float64(
        min=0, max=7, description="Days since the last public holiday, 0 on one, 7 at most."
    )
    days_to_holiday = dy.Float64(
        min=0, max=7, description="Days to the next public holiday, 0 on one, 7 at most."
    )
    level_kw = dy.Float64(
        nullable=True,
        min_exclusive=0,
        description=(
            "Mean |load| of the 28 days up to the issue, kW, always positive: the measure of scale."
        ),
    )
    level_24h_kw = dy.Float64(
        nullable=True,
        min_exclusive=0,
        description=(
            "Mean |load| of the 24 hours up to the issue, kW, at least a tenth of `level_kw`; "
            "`level_kw` where it is not known."
        ),
    )
    level_1h_kw = dy.Float64(
        nullable=True,
        min_exclusive=0,
        description=(
            "|load| of the last hour before the issue, kW, at least a tenth of `level_kw`; "
            "`level_kw` where it is not known."
        ),
    )
    same_hour_1d_kw = _create_same_hour(1)
    same_hour_2d_kw = _create_same_hour(2)
    same_hour_3d_kw = _create_same_hour(3)
    same_hour_4d_kw = _create_same_hour(4)
    same_hour_5d_kw = _create_same_hour(5)
    same_hour_6d_kw = _create_same_hour(6)
    same_hour_7d_kw = _create_same_hour(7)
    same_hour_14d_kw = _create_same_hour(14)
    same_hour_21d_kw = _create_same_hour(21)
    same_hour_28d_kw = _create_same_hour(28)
    same_hour_mean_7d_kw = dy.Float64(
        nullable=True,
        description="Mean of the known ones of `same_hour_1d_kw` to `same_hour_7d_kw`, kW.",
    )
    same_hour_min_7d_kw = dy.Float64(
        nullable=True, description="Smallest of `same_hour_1d_kw` to `same_hour_7d_kw`, kW."
    )
    same_hour_max_7d_kw = dy.Float64(
        nullable=True, description="Largest of `same_hour_1d_kw` to `same_hour_7d_kw`, kW."
    )
    same_hour_mean_28d_kw = dy.Float64(
        nullable=True,
        description=(
            "Mean load at the target's local time of day on the 28 days before, kW; null unless 7"
            " are known."
        ),
    )
    same_hour_std_28d_kw = dy.Float64(
        nullable=True, description="Sample standard deviation of the same, kW."
    )
    same_weekday_mean_4w_kw = dy.Float64(
        nullable=True,
        description=(
            "Mean load at the target's local time of day on the same weekday of the 4 weeks "
            "before, kW."
        ),
    )
    latest_1h_kw = _create_latest(1)
    latest_2h_kw = _create_latest(2)
    latest_3h_kw = _create_latest(3)
    latest_4h_kw = _create_latest(4)
    latest_5h_kw = _create_latest(5)
    latest_6h_kw = _create_latest(6)
    latest_7h_kw = _create_latest(7)
    latest_8h_kw = _create_latest(8)
    latest_9h_kw = _create_latest(9)
    latest_10h_kw = _create_latest(10)
    latest_11h_kw = _create_latest(11)
    latest_12h_kw = _create_latest(12)
    latest_13h_kw = _create_latest(13)
    latest_14h_kw = _create_latest(14)
    latest_15h_kw = _create_latest(15)
    latest_16h_kw = _create_latest(16)
    latest_17h_kw = _create_latest(17)
    latest_18h_kw = _create_latest(18)
    latest_19h_kw = _create_latest(19)
    latest_20h_kw = _create_latest(20)
    latest_21h_kw = _create_latest(21)
    latest_22h_kw = _create_latest(22)
    latest_23h_kw = _create_latest(23)
    latest_24h_kw = _create_latest(24)
    mean_24h_kw = dy.Float64(
        nullable=True,
        description=(
            "Mean load of the 24 hours up to the issue, kW; null unless a quarter of them is known."
        ),
    )
    mean_24h_day_before_kw = dy.Float64(
        nullable=True, description="`mean_24h_kw` as it was a day earlier, kW."
    )
    mean_24h_week_before_kw = dy.Float64(
        nullable=True, description="`mean_24h_kw` as it was a week earlier, kW."
    )
    mean_7d_kw = dy.Float64(
        nullable=True,
        description=(
            "Mean load of the 7 days up to the issue, kW; null unless a quarter of them is known."
        ),
    )
    mean_28d_kw = dy.Float64(
        nullable=True,
        description=(
            "Mean load of the 28 days up to the issue, kW; null unless a quarter of them is known."
        ),
    )
    min_24h_kw = dy.Float64(
        nullable=True, description="Smallest of `latest_1h_kw` to `latest_24h_kw`, kW."
    )
    max_24h_kw = dy.Float64(
        nullable=True, description="Largest of `latest_1h_kw` to `latest_24h_kw`, kW."
    )
    same_hour_1d_shifted_kw = dy.Float64(
        nullable=True,
        description="`same_hour_1d_kw` moved by `mean_24h_kw` - `mean_24h_day_before_kw`, kW.",
    )
    same_hour_7d_shifted_kw = dy.Float64(
        nullable=True,
        description=(
            "The load a week before the target moved by `mean_24h_kw` - "
            "`mean_24h_week_before_kw`, kW."
        ),
    )
    temperature_1d_c = dy.Float64(
        nullable=True,
        description=(
            "Temperature at the target's local time of day on the last day of which it was known,"
            " at most a week back, degrees Celsius."
        ),
    )
    temperature_mean_24h_c = dy.Float64(
        nullable=True,
        description=(
            "Mean temperature of the 24 hours up to the last known one, degrees Celsius; null "
            "unless a quarter of them is known."
        ),
    )
    temperature_mean_7d_c = dy.Float64(
        nullable=True,
        description=(
            "Mean temperature of the 7 days up to the last known hour, degrees Celsius; null "
            "unless a quarter of them is known."
        ),
    )
    irradiance_1d_wm2 = dy.Float64(
        nullable=True,
        description=(
            "Global horizontal irradiance at the target's local time of day on the last day of "
            "which it was known, at most a week back, W/m2."
        ),
    )
