"""Which tables there are, what each is called and which column gives a row's UTC day."""

import re
from dataclasses import dataclass

import dataframely as dy

from smartgrid_core.contracts import (
    aggregates,
    alerts,
    anomalies,
    events,
    features,
    forecasts,
    grid,
    insights,
    inspections,
    promotion,
    readings,
    segments,
    serving,
)


@dataclass(frozen=True, slots=True)
class Table:
    """A contract and its place in the stores."""

    schema: type[dy.Schema]
    """The contract."""
    day_column: str | None = None
    """The Datetime or Date column that gives a row's UTC day; None: the table is kept whole."""

    @property
    def name(self) -> str:
        """`MeterReadings` is stored as `meter_readings`, in PostgreSQL and in the lake."""
        return to_table_name(self.schema)

    @property
    def key(self) -> list[str]:
        """The columns that identify a row."""
        return self.schema.primary_key()


def to_table_name(schema: type[dy.Schema]) -> str:
    """Return the name under which a contract's rows are stored.

    >>> to_table_name(readings.MeterReadings)
    'meter_readings'
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", schema.__name__).lower()


CONTRACT_TABLES: dict[type[dy.Schema], Table] = {
    table.schema: table
    for table in (
        Table(readings.SensorData, "event_time"),
        Table(readings.MeterReadings, "event_time"),
        Table(readings.RegisterBrackets, "day"),
        Table(readings.ReadingRevisions, "event_time"),
        Table(readings.Quarantine),
        Table(readings.LandedFiles),
        Table(readings.RepeatedFiles),
        Table(readings.TouchedDays),
        Table(readings.RepeatedReadings),
        Table(readings.ReadingFindings),
        Table(grid.GridTopology),
        Table(grid.Weather, "hour_start"),
        Table(grid.PlantedFaults),
        Table(aggregates.SensorAggregates, "hour_bucket"),
        Table(aggregates.MeterConsumption, "interval_start"),
        Table(aggregates.DailyConsumption, "local_day"),
        Table(aggregates.FeederLoad, "hour_start"),
        Table(features.LoadFeatures, "issue_time"),
        Table(events.GridEvents, "hour_start"),
        Table(events.EventItemsets, "day"),
        Table(events.EventRules, "day"),
        Table(events.EventRuleChanges, "day"),
        Table(forecasts.LoadBacktest),
        Table(forecasts.LoadForecasts, "issue_time"),
        Table(serving.LabelMoves),
        Table(serving.TrafficSplits),
        Table(serving.PredictionLog, "asked_at"),
        Table(serving.VariantComparisons),
        Table(promotion.BacktestLosses),
        Table(promotion.PromotionDecisions),
        Table(promotion.ModelDrift, "day"),
        Table(insights.Insights, "day"),
        Table(insights.InsightPages, "day"),
        Table(anomalies.Anomalies, "start_time"),
        Table(anomalies.AnomalyDays, "day"),
        Table(anomalies.AnomalyScores, "time"),
        Table(anomalies.AnomalyStates, "day"),
        Table(inspections.HeadEnergy, "hour_start"),
        Table(inspections.EnergyBalance, "day"),
        Table(inspections.Inspections),
        Table(segments.ConsumerProfiles),
        Table(segments.ConsumerSegments),
        Table(segments.ConsumerOutliers),
        Table(segments.SegmentHistory, "day"),
        Table(segments.SegmentBands, "day"),
        Table(alerts.LimitExceedances, "issue_time"),
        Table(alerts.Alerts),
        Table(alerts.Outbox),
        Table(alerts.NotificationAttempts),
    )
}


def get_table(schema: type[dy.Schema]) -> Table:
    """Return a contract's table. Raises KeyError naming a schema that is not a table.

    >>> get_table(grid.Weather).day_column
    'hour_start'
    """
    return CONTRACT_TABLES[schema]
