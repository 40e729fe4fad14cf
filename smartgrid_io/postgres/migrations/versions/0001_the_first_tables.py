"""The first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "alerts",
        sa.Column("alert_id", sa.String(length=128), nullable=False),
        sa.Column("dedupe_key", sa.String(length=128), nullable=False),
        sa.Column("alert_type", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.String(length=128), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("closed_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint("\"alert_id\" <> ''", name=op.f("ck_alerts_alert_id")),
        sa.CheckConstraint(
            "\"alert_type\" IN ('anomaly', 'threshold_exceeded', 'system_failure')",
            name=op.f("ck_alerts_alert_type"),
        ),
        sa.CheckConstraint("\"dedupe_key\" <> ''", name=op.f("ck_alerts_dedupe_key")),
        sa.CheckConstraint(
            "\"severity\" IN ('info', 'warning', 'critical')", name=op.f("ck_alerts_severity")
        ),
        sa.CheckConstraint(
            "\"state\" IN ('open', 'acknowledged', 'closed')", name=op.f("ck_alerts_state")
        ),
        sa.CheckConstraint("\"subject_id\" <> ''", name=op.f("ck_alerts_subject_id")),
        sa.PrimaryKeyConstraint("alert_id", name=op.f("pk_alerts")),
        sa.UniqueConstraint("dedupe_key", name=op.f("uq_alerts_dedupe_key")),
        postgresql_partition_by=None,
    )
    op.create_index(
        op.f("ix_alerts_state_opened_at"), "alerts", ["state", "opened_at"], unique=False
    )
    op.create_table(
        "daily_consumption",
        sa.Column("meter_id", sa.String(length=128), nullable=False),
        sa.Column("local_day", sa.Date(), nullable=False),
        sa.Column("energy_kwh", sa.Double(), nullable=False),
        sa.Column("estimated_kwh", sa.Double(), nullable=False),
        sa.Column("hours", sa.Integer(), nullable=False),
        sa.Column("covered_hours", sa.Double(), nullable=False),
        sa.CheckConstraint(
            '"covered_hours" >= 0 AND "covered_hours" <= 25',
            name=op.f("ck_daily_consumption_covered_hours"),
        ),
        sa.CheckConstraint(
            '"energy_kwh" >= 0 AND "energy_kwh" < \'Infinity\'::double precision',
            name=op.f("ck_daily_consumption_energy_kwh"),
        ),
        sa.CheckConstraint(
            '"estimated_kwh" >= 0 AND "estimated_kwh" < \'Infinity\'::double precision',
            name=op.f("ck_daily_consumption_estimated_kwh"),
        ),
        sa.CheckConstraint(
            '"hours" >= 23 AND "hours" <= 25', name=op.f("ck_daily_consumption_hours")
        ),
        sa.CheckConstraint("\"meter_id\" <> ''", name=op.f("ck_daily_consumption_meter_id")),
        sa.PrimaryKeyConstraint("meter_id", "local_day", name=op.f("pk_daily_consumption")),
        postgresql_partition_by=None,
    )
    op.create_index(
        op.f("ix_daily_consumption_local_day"), "daily_consumption", ["local_day"], unique=False
    )
    op.create_table(
        "feeder_load",
        sa.Column("feeder_id", sa.String(length=128), nullable=False),
        sa.Column("hour_start", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("load_kw", sa.Double(), nullable=False),
        sa.Column("meters", sa.Integer(), nullable=False),
        sa.Column("estimated_share", sa.Double(), nullable=False),
        sa.CheckConstraint(
            '"estimated_share" >= 0 AND "estimated_share" <= 1',
            name=op.f("ck_feeder_load_estimated_share"),
        ),
        sa.CheckConstraint("\"feeder_id\" <> ''", name=op.f("ck_feeder_load_feeder_id")),
        sa.CheckConstraint(
            "\"load_kw\" > '-Infinity'::double precision AND \"load_kw\" < 'Infinity'::double precision",
            name=op.f("ck_feeder_load_load_kw"),
        ),
        sa.CheckConstraint('"meters" >= 1', name=op.f("ck_feeder_load_meters")),
        sa.PrimaryKeyConstraint("feeder_id", "hour_start", name=op.f("pk_feeder_load")),
        postgresql_partition_by=None,
    )
    op.create_index(op.f("ix_feeder_load_hour_start"), "feeder_load", ["hour_start"], unique=False)
    op.create_table(
        "grid_topology",
        sa.Column("node_id", sa.String(length=128), nullable=False),
        sa.Column("node_kind", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.String(length=128), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("latitude", sa.Double(), nullable=False),
        sa.Column("longitude", sa.Double(), nullable=False),
        sa.Column("nominal_voltage_v", sa.Double(), nullable=True),
        sa.Column("rating_kw", sa.Double(), nullable=True),
        sa.Column("customer_id", sa.String(length=128), nullable=True),
        sa.Column("customer_kind", sa.Text(), nullable=True),
        sa.CheckConstraint("\"customer_id\" <> ''", name=op.f("ck_grid_topology_customer_id")),
        sa.CheckConstraint(
            "\"customer_kind\" IN ('household', 'commercial', 'pv', 'ev', 'heat_pump', 'agricultural')",
            name=op.f("ck_grid_topology_customer_kind"),
        ),
        sa.CheckConstraint(
            '"latitude" >= -90 AND "latitude" <= 90', name=op.f("ck_grid_topology_latitude")
        ),
        sa.CheckConstraint(
            '"longitude" >= -180 AND "longitude" <= 180', name=op.f("ck_grid_topology_longitude")
        ),
        sa.CheckConstraint("\"node_id\" <> ''", name=op.f("ck_grid_topology_node_id")),
        sa.CheckConstraint(
            "\"node_kind\" IN ('substation', 'feeder', 'transformer', 'meter', 'sensor')",
            name=op.f("ck_grid_topology_node_kind"),
        ),
        sa.CheckConstraint(
            '"nominal_voltage_v" > 0 AND "nominal_voltage_v" < \'Infinity\'::double precision',
            name=op.f("ck_grid_topology_nominal_voltage_v"),
        ),
        sa.CheckConstraint("\"parent_id\" <> ''", name=op.f("ck_grid_topology_parent_id")),
        sa.CheckConstraint(
            '"rating_kw" > 0 AND "rating_kw" < \'Infinity\'::double precision',
            name=op.f("ck_grid_topology_rating_kw"),
        ),
        sa.PrimaryKeyConstraint("node_id", name=op.f("pk_grid_topology")),
        postgresql_partition_by=None,
    )
    op.create_index(
        op.f("ix_grid_topology_parent_id"), "grid_topology", ["parent_id"], unique=False
    )
    op.create_table(
        "landed_files",
        sa.Column("source_sha256", sa.String(length=128), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("dataset", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("rows_read", sa.BigInteger(), nullable=False),
        sa.Column("rows_new", sa.BigInteger(), nullable=False),
        sa.Column("rows_changed", sa.BigInteger(), nullable=False),
        sa.Column("rows_repeated", sa.BigInteger(), nullable=False),
        sa.Column("rows_refused", sa.BigInteger(), nullable=False),
        sa.Column("landed_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint(
            "\"dataset\" IN ('sensor_data', 'meter_readings', 'weather', 'grid_topology', 'unknown')",
            name=op.f("ck_landed_files_dataset"),
        ),
        sa.CheckConstraint('"rows_changed" >= 0', name=op.f("ck_landed_files_rows_changed")),
        sa.CheckConstraint('"rows_new" >= 0', name=op.f("ck_landed_files_rows_new")),
        sa.CheckConstraint('"rows_read" >= 0', name=op.f("ck_landed_files_rows_read")),
        sa.CheckConstraint('"rows_refused" >= 0', name=op.f("ck_landed_files_rows_refused")),
        sa.CheckConstraint('"rows_repeated" >= 0', name=op.f("ck_landed_files_rows_repeated")),
        sa.CheckConstraint('"size_bytes" >= 0', name=op.f("ck_landed_files_size_bytes")),
        sa.CheckConstraint("\"source_sha256\" <> ''", name=op.f("ck_landed_files_source_sha256")),
        sa.PrimaryKeyConstraint("source_sha256", name=op.f("pk_landed_files")),
        postgresql_partition_by=None,
    )
    op.create_index(op.f("ix_landed_files_source"), "landed_files", ["source"], unique=False)
    op.create_table(
        "limit_exceedances",
        sa.Column("feeder_id", sa.String(length=128), nullable=False),
        sa.Column("issue_time", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("hour_start", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("rating_kw", sa.Double(), nullable=False),
        sa.Column("p50_kw", sa.Double(), nullable=False),
        sa.Column("p90_kw", sa.Double(), nullable=False),
        sa.Column("probability", sa.Double(), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.CheckConstraint("\"feeder_id\" <> ''", name=op.f("ck_limit_exceedances_feeder_id")),
        sa.CheckConstraint("\"model\" <> ''", name=op.f("ck_limit_exceedances_model")),
        sa.CheckConstraint(
            "\"p50_kw\" > '-Infinity'::double precision AND \"p50_kw\" < 'Infinity'::double precision",
            name=op.f("ck_limit_exceedances_p50_kw"),
        ),
        sa.CheckConstraint(
            "\"p90_kw\" > '-Infinity'::double precision AND \"p90_kw\" < 'Infinity'::double precision",
            name=op.f("ck_limit_exceedances_p90_kw"),
        ),
        sa.CheckConstraint(
            '"probability" >= 0 AND "probability" <= 1',
            name=op.f("ck_limit_exceedances_probability"),
        ),
        sa.CheckConstraint(
            '"rating_kw" > 0 AND "rating_kw" < \'Infinity\'::double precision',
            name=op.f("ck_limit_exceedances_rating_kw"),
        ),
        sa.PrimaryKeyConstraint(
            "feeder_id", "issue_time", "hour_start", name=op.f("pk_limit_exceedances")
        ),
        postgresql_partition_by=None,
    )
    op.create_index(
        op.f("ix_limit_exceedances_issue_time"), "limit_exceedances", ["issue_time"], unique=False
    )
    op.create_table(
        "load_backtest",
        sa.Column("backtest_id", sa.String(length=128), nullable=False),
        sa.Column("series", sa.String(length=128), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("mae", sa.Double(), nullable=True),
        sa.Column("mape", sa.Double(), nullable=True),
        sa.Column("nmae", sa.Double(), nullable=True),
        sa.Column("pinball", sa.Double(), nullable=True),
        sa.Column("rcrps", sa.Double(), nullable=True),
        sa.Column("coverage", sa.Double(), nullable=True),
        sa.Column("train_s", sa.Double(), nullable=True),
        sa.Column("predict_ms", sa.Double(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("scored_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint("\"backtest_id\" <> ''", name=op.f("ck_load_backtest_backtest_id")),
        sa.CheckConstraint(
            '"coverage" >= 0 AND "coverage" <= 1', name=op.f("ck_load_backtest_coverage")
        ),
        sa.CheckConstraint(
            '"mae" >= 0 AND "mae" < \'Infinity\'::double precision',
            name=op.f("ck_load_backtest_mae"),
        ),
        sa.CheckConstraint(
            '"mape" >= 0 AND "mape" < \'Infinity\'::double precision',
            name=op.f("ck_load_backtest_mape"),
        ),
        sa.CheckConstraint("\"model\" <> ''", name=op.f("ck_load_backtest_model")),
        sa.CheckConstraint(
            '"nmae" >= 0 AND "nmae" < \'Infinity\'::double precision',
            name=op.f("ck_load_backtest_nmae"),
        ),
        sa.CheckConstraint(
            '"pinball" >= 0 AND "pinball" < \'Infinity\'::double precision',
            name=op.f("ck_load_backtest_pinball"),
        ),
        sa.CheckConstraint(
            '"predict_ms" >= 0 AND "predict_ms" < \'Infinity\'::double precision',
            name=op.f("ck_load_backtest_predict_ms"),
        ),
        sa.CheckConstraint(
            '"rcrps" >= 0 AND "rcrps" < \'Infinity\'::double precision',
            name=op.f("ck_load_backtest_rcrps"),
        ),
        sa.CheckConstraint("\"series\" <> ''", name=op.f("ck_load_backtest_series")),
        sa.CheckConstraint(
            '"train_s" >= 0 AND "train_s" < \'Infinity\'::double precision',
            name=op.f("ck_load_backtest_train_s"),
        ),
        sa.PrimaryKeyConstraint("backtest_id", "series", "model", name=op.f("pk_load_backtest")),
        postgresql_partition_by=None,
    )
    op.create_table(
        "load_forecasts",
        sa.Column("feeder_id", sa.String(length=128), nullable=False),
        sa.Column("issue_time", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("hour_start", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("lead_hours", sa.Integer(), nullable=False),
        sa.Column("p10", sa.Double(), nullable=False),
        sa.Column("p50", sa.Double(), nullable=False),
        sa.Column("p90", sa.Double(), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("model_version", sa.String(length=128), nullable=True),
        sa.Column("variant", sa.String(length=128), nullable=True),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint("\"feeder_id\" <> ''", name=op.f("ck_load_forecasts_feeder_id")),
        sa.CheckConstraint('"lead_hours" >= 0', name=op.f("ck_load_forecasts_lead_hours")),
        sa.CheckConstraint("\"model\" <> ''", name=op.f("ck_load_forecasts_model")),
        sa.CheckConstraint("\"model_version\" <> ''", name=op.f("ck_load_forecasts_model_version")),
        sa.CheckConstraint(
            "\"p10\" > '-Infinity'::double precision AND \"p10\" < 'Infinity'::double precision",
            name=op.f("ck_load_forecasts_p10"),
        ),
        sa.CheckConstraint(
            "\"p50\" > '-Infinity'::double precision AND \"p50\" < 'Infinity'::double precision",
            name=op.f("ck_load_forecasts_p50"),
        ),
        sa.CheckConstraint(
            "\"p90\" > '-Infinity'::double precision AND \"p90\" < 'Infinity'::double precision",
            name=op.f("ck_load_forecasts_p90"),
        ),
        sa.CheckConstraint("\"variant\" <> ''", name=op.f("ck_load_forecasts_variant")),
        sa.CheckConstraint(
            "p10 <= p50 AND p50 <= p90", name=op.f("ck_load_forecasts_quantiles_are_ordered")
        ),
        sa.PrimaryKeyConstraint(
            "feeder_id", "issue_time", "hour_start", name=op.f("pk_load_forecasts")
        ),
        postgresql_partition_by=None,
    )
    op.create_index(
        op.f("ix_load_forecasts_hour_start"), "load_forecasts", ["hour_start"], unique=False
    )
    op.create_index(
        op.f("ix_load_forecasts_issue_time"), "load_forecasts", ["issue_time"], unique=False
    )
    op.create_table(
        "meter_consumption",
        sa.Column("meter_id", sa.String(length=128), nullable=False),
        sa.Column("interval_start", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("interval_minutes", sa.Integer(), nullable=False),
        sa.Column("energy_kwh", sa.Double(), nullable=False),
        sa.Column("is_estimated", sa.Boolean(), nullable=False),
        sa.Column("quality", sa.Text(), nullable=False),
        sa.CheckConstraint(
            '"energy_kwh" >= 0 AND "energy_kwh" < \'Infinity\'::double precision',
            name=op.f("ck_meter_consumption_energy_kwh"),
        ),
        sa.CheckConstraint(
            '"interval_minutes" >= 1 AND "interval_minutes" <= 1440',
            name=op.f("ck_meter_consumption_interval_minutes"),
        ),
        sa.CheckConstraint("\"meter_id\" <> ''", name=op.f("ck_meter_consumption_meter_id")),
        sa.CheckConstraint(
            "\"quality\" IN ('measured', 'gap', 'reset', 'rollover', 'momentary_zero', 'backward_step', 'unit_slip', 'spike')",
            name=op.f("ck_meter_consumption_quality"),
        ),
        sa.PrimaryKeyConstraint("meter_id", "interval_start", name=op.f("pk_meter_consumption")),
        postgresql_partition_by=None,
    )
    op.create_index(
        op.f("ix_meter_consumption_interval_start"),
        "meter_consumption",
        ["interval_start"],
        unique=False,
    )
    op.create_table(
        "meter_readings",
        sa.Column("event_id", sa.String(length=128), nullable=False),
        sa.Column("meter_id", sa.String(length=128), nullable=False),
        sa.Column("customer_id", sa.String(length=128), nullable=True),
        sa.Column("reading", sa.Double(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("reading_kind", sa.Text(), nullable=False),
        sa.Column("event_time", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("ingested_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint("\"customer_id\" <> ''", name=op.f("ck_meter_readings_customer_id")),
        sa.CheckConstraint("\"event_id\" <> ''", name=op.f("ck_meter_readings_event_id")),
        sa.CheckConstraint("\"meter_id\" <> ''", name=op.f("ck_meter_readings_meter_id")),
        sa.CheckConstraint(
            "\"reading\" > '-Infinity'::double precision AND \"reading\" < 'Infinity'::double precision",
            name=op.f("ck_meter_readings_reading"),
        ),
        sa.CheckConstraint(
            "\"reading_kind\" IN ('register', 'interval')",
            name=op.f("ck_meter_readings_reading_kind"),
        ),
        sa.CheckConstraint("\"unit\" IN ('kWh')", name=op.f("ck_meter_readings_unit")),
        sa.PrimaryKeyConstraint(
            "meter_id", "reading_kind", "event_time", name=op.f("pk_meter_readings")
        ),
        postgresql_partition_by="RANGE (event_time)",
    )
    op.create_index(
        op.f("ix_meter_readings_event_time"),
        "meter_readings",
        ["event_time"],
        unique=False,
        postgresql_using="brin",
        postgresql_with={"pages_per_range": 32, "autosummarize": True},
    )
    op.create_table(
        "notification_attempts",
        sa.Column("message_id", sa.String(length=128), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("tried_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("status_code", sa.Integer(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("duration_ms", sa.Double(), nullable=False),
        sa.CheckConstraint('"attempt" >= 1', name=op.f("ck_notification_attempts_attempt")),
        sa.CheckConstraint(
            '"duration_ms" >= 0 AND "duration_ms" < \'Infinity\'::double precision',
            name=op.f("ck_notification_attempts_duration_ms"),
        ),
        sa.CheckConstraint(
            "\"message_id\" <> ''", name=op.f("ck_notification_attempts_message_id")
        ),
        sa.CheckConstraint(
            "\"outcome\" IN ('delivered', 'refused', 'unreachable', 'timeout')",
            name=op.f("ck_notification_attempts_outcome"),
        ),
        sa.PrimaryKeyConstraint("message_id", "attempt", name=op.f("pk_notification_attempts")),
        postgresql_partition_by=None,
    )
    op.create_table(
        "outbox",
        sa.Column("message_id", sa.String(length=128), nullable=False),
        sa.Column("alert_id", sa.String(length=128), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint("\"alert_id\" <> ''", name=op.f("ck_outbox_alert_id")),
        sa.CheckConstraint('"attempts" >= 0', name=op.f("ck_outbox_attempts")),
        sa.CheckConstraint(
            "\"channel\" IN ('webhook', 'email', 'sms', 'push')", name=op.f("ck_outbox_channel")
        ),
        sa.CheckConstraint("\"message_id\" <> ''", name=op.f("ck_outbox_message_id")),
        sa.CheckConstraint(
            "\"state\" IN ('pending', 'delivered', 'dead')", name=op.f("ck_outbox_state")
        ),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_outbox")),
        postgresql_partition_by=None,
    )
    op.create_index(
        op.f("ix_outbox_next_attempt_at"),
        "outbox",
        ["next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_table(
        "planted_faults",
        sa.Column("fault_id", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject_kind", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.String(length=128), nullable=False),
        sa.Column("start_time", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("end_time", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("magnitude", sa.Double(), nullable=True),
        sa.Column("description", sa.Text(), nullable=False),
        sa.CheckConstraint("\"fault_id\" <> ''", name=op.f("ck_planted_faults_fault_id")),
        sa.CheckConstraint(
            "\"kind\" IN ('register_reset', 'register_rollover', 'momentary_zero', 'backward_step', 'gap', 'stuck_value', 'duplicate_readings', 'late_readings', 'unit_slip', 'voltage_sag', 'theft', 'feeder_overload')",
            name=op.f("ck_planted_faults_kind"),
        ),
        sa.CheckConstraint(
            "\"magnitude\" > '-Infinity'::double precision AND \"magnitude\" < 'Infinity'::double precision",
            name=op.f("ck_planted_faults_magnitude"),
        ),
        sa.CheckConstraint("\"subject_id\" <> ''", name=op.f("ck_planted_faults_subject_id")),
        sa.CheckConstraint(
            "\"subject_kind\" IN ('meter', 'sensor', 'feeder')",
            name=op.f("ck_planted_faults_subject_kind"),
        ),
        sa.PrimaryKeyConstraint("fault_id", name=op.f("pk_planted_faults")),
        postgresql_partition_by=None,
    )
    op.create_table(
        "quarantine",
        sa.Column("source_sha256", sa.String(length=128), nullable=False),
        sa.Column("row_number", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(length=128), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("dataset", sa.Text(), nullable=False),
        sa.Column("column", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("raw", sa.Text(), nullable=True),
        sa.Column("quarantined_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint(
            "\"dataset\" IN ('sensor_data', 'meter_readings', 'weather', 'grid_topology', 'unknown')",
            name=op.f("ck_quarantine_dataset"),
        ),
        sa.CheckConstraint("\"reason\" <> ''", name=op.f("ck_quarantine_reason")),
        sa.CheckConstraint('"row_number" >= 0', name=op.f("ck_quarantine_row_number")),
        sa.CheckConstraint("\"source_sha256\" <> ''", name=op.f("ck_quarantine_source_sha256")),
        sa.PrimaryKeyConstraint(
            "source_sha256", "row_number", "reason", name=op.f("pk_quarantine")
        ),
        postgresql_partition_by=None,
    )
    op.create_index(
        op.f("ix_quarantine_quarantined_at"), "quarantine", ["quarantined_at"], unique=False
    )
    op.create_table(
        "reading_revisions",
        sa.Column("revision_id", sa.String(length=128), nullable=False),
        sa.Column("dataset", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.String(length=128), nullable=False),
        sa.Column("quantity", sa.String(length=128), nullable=False),
        sa.Column("event_time", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("old_value", sa.Double(), nullable=False),
        sa.Column("new_value", sa.Double(), nullable=False),
        sa.Column("replaced_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "\"dataset\" IN ('sensor_data', 'meter_readings')",
            name=op.f("ck_reading_revisions_dataset"),
        ),
        sa.CheckConstraint(
            "\"new_value\" > '-Infinity'::double precision AND \"new_value\" < 'Infinity'::double precision",
            name=op.f("ck_reading_revisions_new_value"),
        ),
        sa.CheckConstraint(
            "\"old_value\" > '-Infinity'::double precision AND \"old_value\" < 'Infinity'::double precision",
            name=op.f("ck_reading_revisions_old_value"),
        ),
        sa.CheckConstraint("\"quantity\" <> ''", name=op.f("ck_reading_revisions_quantity")),
        sa.CheckConstraint("\"revision_id\" <> ''", name=op.f("ck_reading_revisions_revision_id")),
        sa.CheckConstraint("\"subject_id\" <> ''", name=op.f("ck_reading_revisions_subject_id")),
        sa.PrimaryKeyConstraint("revision_id", name=op.f("pk_reading_revisions")),
        postgresql_partition_by=None,
    )
    op.create_index(
        op.f("ix_reading_revisions_dataset_subject_id_event_time"),
        "reading_revisions",
        ["dataset", "subject_id", "event_time"],
        unique=False,
    )
    op.create_table(
        "sensor_aggregates",
        sa.Column("sensor_id", sa.String(length=128), nullable=False),
        sa.Column("sensor_type", sa.Text(), nullable=False),
        sa.Column("hour_bucket", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("avg_value", sa.Double(), nullable=False),
        sa.Column("min_value", sa.Double(), nullable=False),
        sa.Column("max_value", sa.Double(), nullable=False),
        sa.Column("stddev_value", sa.Double(), nullable=True),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("expected_count", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "\"avg_value\" > '-Infinity'::double precision AND \"avg_value\" < 'Infinity'::double precision",
            name=op.f("ck_sensor_aggregates_avg_value"),
        ),
        sa.CheckConstraint('"count" >= 1', name=op.f("ck_sensor_aggregates_count")),
        sa.CheckConstraint(
            '"expected_count" >= 1', name=op.f("ck_sensor_aggregates_expected_count")
        ),
        sa.CheckConstraint(
            "\"max_value\" > '-Infinity'::double precision AND \"max_value\" < 'Infinity'::double precision",
            name=op.f("ck_sensor_aggregates_max_value"),
        ),
        sa.CheckConstraint(
            "\"min_value\" > '-Infinity'::double precision AND \"min_value\" < 'Infinity'::double precision",
            name=op.f("ck_sensor_aggregates_min_value"),
        ),
        sa.CheckConstraint("\"sensor_id\" <> ''", name=op.f("ck_sensor_aggregates_sensor_id")),
        sa.CheckConstraint(
            "\"sensor_type\" IN ('voltage', 'current', 'power', 'frequency')",
            name=op.f("ck_sensor_aggregates_sensor_type"),
        ),
        sa.CheckConstraint(
            '"stddev_value" >= 0 AND "stddev_value" < \'Infinity\'::double precision',
            name=op.f("ck_sensor_aggregates_stddev_value"),
        ),
        sa.PrimaryKeyConstraint(
            "sensor_id", "sensor_type", "hour_bucket", name=op.f("pk_sensor_aggregates")
        ),
        postgresql_partition_by=None,
    )
    op.create_index(
        op.f("ix_sensor_aggregates_hour_bucket"), "sensor_aggregates", ["hour_bucket"], unique=False
    )
    op.create_table(
        "sensor_data",
        sa.Column("event_id", sa.String(length=128), nullable=False),
        sa.Column("sensor_id", sa.String(length=128), nullable=False),
        sa.Column("sensor_type", sa.Text(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("latitude", sa.Double(), nullable=True),
        sa.Column("longitude", sa.Double(), nullable=True),
        sa.Column("event_time", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("ingested_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.CheckConstraint("\"event_id\" <> ''", name=op.f("ck_sensor_data_event_id")),
        sa.CheckConstraint(
            '"latitude" >= -90 AND "latitude" <= 90', name=op.f("ck_sensor_data_latitude")
        ),
        sa.CheckConstraint(
            '"longitude" >= -180 AND "longitude" <= 180', name=op.f("ck_sensor_data_longitude")
        ),
        sa.CheckConstraint("\"sensor_id\" <> ''", name=op.f("ck_sensor_data_sensor_id")),
        sa.CheckConstraint(
            "\"sensor_type\" IN ('voltage', 'current', 'power', 'frequency')",
            name=op.f("ck_sensor_data_sensor_type"),
        ),
        sa.CheckConstraint(
            "\"value\" > '-Infinity'::double precision AND \"value\" < 'Infinity'::double precision",
            name=op.f("ck_sensor_data_value"),
        ),
        sa.PrimaryKeyConstraint(
            "sensor_id", "sensor_type", "event_time", name=op.f("pk_sensor_data")
        ),
        postgresql_partition_by="RANGE (event_time)",
    )
    op.create_index(
        op.f("ix_sensor_data_event_time"),
        "sensor_data",
        ["event_time"],
        unique=False,
        postgresql_using="brin",
        postgresql_with={"pages_per_range": 32, "autosummarize": True},
    )
    op.create_table(
        "touched_days",
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("dataset", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("touched_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint(
            "\"dataset\" IN ('sensor_data', 'meter_readings', 'weather')",
            name=op.f("ck_touched_days_dataset"),
        ),
        sa.CheckConstraint('"seq" >= 1', name=op.f("ck_touched_days_seq")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_touched_days")),
        postgresql_partition_by=None,
    )
    op.create_table(
        "weather",
        sa.Column("station_id", sa.String(length=128), nullable=False),
        sa.Column("hour_start", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("temperature_c", sa.Double(), nullable=False),
        sa.Column("humidity_pct", sa.Double(), nullable=True),
        sa.Column("wind_speed_ms", sa.Double(), nullable=True),
        sa.Column("irradiance_wm2", sa.Double(), nullable=True),
        sa.Column("cloud_cover_pct", sa.Double(), nullable=True),
        sa.CheckConstraint(
            '"cloud_cover_pct" >= 0 AND "cloud_cover_pct" <= 100',
            name=op.f("ck_weather_cloud_cover_pct"),
        ),
        sa.CheckConstraint(
            '"humidity_pct" >= 0 AND "humidity_pct" <= 100', name=op.f("ck_weather_humidity_pct")
        ),
        sa.CheckConstraint(
            '"irradiance_wm2" >= 0 AND "irradiance_wm2" <= 1500',
            name=op.f("ck_weather_irradiance_wm2"),
        ),
        sa.CheckConstraint("\"station_id\" <> ''", name=op.f("ck_weather_station_id")),
        sa.CheckConstraint(
            '"temperature_c" >= -90 AND "temperature_c" <= 60',
            name=op.f("ck_weather_temperature_c"),
        ),
        sa.CheckConstraint(
            '"wind_speed_ms" >= 0 AND "wind_speed_ms" <= 120', name=op.f("ck_weather_wind_speed_ms")
        ),
        sa.PrimaryKeyConstraint("station_id", "hour_start", name=op.f("pk_weather")),
        postgresql_partition_by=None,
    )
    op.create_index(op.f("ix_weather_hour_start"), "weather", ["hour_start"], unique=False)


def downgrade() -> None:
    """Go back."""
    op.drop_index(op.f("ix_weather_hour_start"), table_name="weather")
    op.drop_table("weather")
    op.drop_table("touched_days")
    op.drop_index(
        op.f("ix_sensor_data_event_time"),
        table_name="sensor_data",
        postgresql_using="brin",
        postgresql_with={"pages_per_range": 32, "autosummarize": True},
    )
    op.drop_table("sensor_data")
    op.drop_index(op.f("ix_sensor_aggregates_hour_bucket"), table_name="sensor_aggregates")
    op.drop_table("sensor_aggregates")
    op.drop_index(
        op.f("ix_reading_revisions_dataset_subject_id_event_time"), table_name="reading_revisions"
    )
    op.drop_table("reading_revisions")
    op.drop_index(op.f("ix_quarantine_quarantined_at"), table_name="quarantine")
    op.drop_table("quarantine")
    op.drop_table("planted_faults")
    op.drop_index(
        op.f("ix_outbox_next_attempt_at"),
        table_name="outbox",
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.drop_table("outbox")
    op.drop_table("notification_attempts")
    op.drop_index(
        op.f("ix_meter_readings_event_time"),
        table_name="meter_readings",
        postgresql_using="brin",
        postgresql_with={"pages_per_range": 32, "autosummarize": True},
    )
    op.drop_table("meter_readings")
    op.drop_index(op.f("ix_meter_consumption_interval_start"), table_name="meter_consumption")
    op.drop_table("meter_consumption")
    op.drop_index(op.f("ix_load_forecasts_issue_time"), table_name="load_forecasts")
    op.drop_index(op.f("ix_load_forecasts_hour_start"), table_name="load_forecasts")
    op.drop_table("load_forecasts")
    op.drop_table("load_backtest")
    op.drop_index(op.f("ix_limit_exceedances_issue_time"), table_name="limit_exceedances")
    op.drop_table("limit_exceedances")
    op.drop_index(op.f("ix_landed_files_source"), table_name="landed_files")
    op.drop_table("landed_files")
    op.drop_index(op.f("ix_grid_topology_parent_id"), table_name="grid_topology")
    op.drop_table("grid_topology")
    op.drop_index(op.f("ix_feeder_load_hour_start"), table_name="feeder_load")
    op.drop_table("feeder_load")
    op.drop_index(op.f("ix_daily_consumption_local_day"), table_name="daily_consumption")
    op.drop_table("daily_consumption")
    op.drop_index(op.f("ix_alerts_state_opened_at"), table_name="alerts")
    op.drop_table("alerts")
