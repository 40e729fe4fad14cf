"""Settings from the environment (`SMARTGRID_...`) and `.env`; built at entry points only."""

from datetime import date
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Ports(BaseSettings):
    """TCP ports on localhost; `smartgrid up` moves to the next free one and prints it."""

    model_config = SettingsConfigDict(env_prefix="SMARTGRID_PORT_", env_file=".env", extra="ignore")

    postgres: int = 5432
    mlflow: int = 5500
    dagster: int = 3000
    model_server_rest: int = 8501
    model_server_grpc: int = 8500
    data_docs: int = 5600


class Settings(BaseSettings):
    """What a process needs to know about where things are and how they are set."""

    model_config = SettingsConfigDict(env_prefix="SMARTGRID_", env_file=".env", extra="ignore")

    home: Path = Path(".smartgrid")
    """Everything the product writes on this machine lies below."""
    database_url: SecretStr | None = None
    """`postgresql://user:password@host:port/database`; secret because of the password."""
    dagster_url: SecretStr | None = None
    """Dagster's own storage, written like `database_url`; old events are purged there if set."""
    compute_logs: Path | None = None
    """Where Dagster keeps what runs print; old output is purged there if set."""
    lake_url: str | None = None
    """A local folder or `s3://bucket/prefix`; `<home>/lake` if unset."""
    landing_dir: Path | None = None
    """The watched folder; `<home>/landing` if unset."""
    model_dir: str | None = None
    """The model server's base path; `<home>/models` if unset."""
    mlflow_url: str = "http://127.0.0.1:5500"
    model_server_grpc: str = "127.0.0.1:8500"
    model_server_rest: str = "http://127.0.0.1:8501"
    dagster_ui_url: str = ""
    """Where people open Dagster, for links in what is forwarded; links within it if unset."""
    data_docs_url: str | None = None
    """Where the folder of Data Docs is served; the folder's path is shown if unset."""
    timezone: str = "Europe/Tirane"
    """Local time of calendar features and of everything that people read."""
    country: str = "AL"
    """ISO 3166 code whose public holidays count."""
    first_day: date = date(2025, 1, 1)
    """The first UTC day of the partitions."""
    last_day: date | None = None
    """The last UTC day of the partitions, for a closed data set; None grows with the clock."""
    readings_end: date | None = None
    """The first UTC day without readings, for a closed data set: none are expected from it on."""
    meter_interval_minutes: int = Field(default=15, ge=1, le=1440)
    sensor_interval_minutes: int = Field(default=15, ge=1, le=60)
    min_meter_share: float = Field(default=0.9, ge=0, le=1)
    """Forecasts learn from and look back on hours of which at least so many of a feeder's meters
    reported; the load of others counts as unknown. 0 takes every hour as it is."""
    voltage_band: float = Field(default=0.05, gt=0, lt=1)
    """Share of the nominal voltage by which an hour may differ before it is an event."""
    rule_window_days: int = Field(default=28, ge=1, le=366)
    """Days that association rules are mined from, and those before that they are held against."""
    rule_transaction_hours: Literal[1, 8] = 1
    """What a transaction of events is: an hour, or a shift from 6:00, 14:00 or 22:00 local time."""
    register_capacity_kwh: float = Field(default=1_000_000.0, gt=0)
    """A register rolls over to zero at this count."""
    landing_columns: dict[str, str] = Field(default_factory=dict)
    """Columns of landed files by what they are here, as JSON: `{"MeterNo": "meter_id"}`. In a wide
    table a column may be `sensor:type`; `-` leaves a column out."""
    landing_dataset: str | None = None
    """`meter_readings`, `sensor_data`, `weather` or `grid_topology`; by the columns if unset."""
    landing_timezone: str = "UTC"
    """Zone of times that are written without one."""
    landing_encoding: str | None = None
    """Encoding of files that are neither UTF-8 nor UTF-16, such as `cp1252`."""
    landing_decimal_comma: bool = False
    landing_unit: str | None = None
    """Unit of values that name none; kWh, V, A, kW or Hz if unset."""
    landing_reading_kind: Literal["register", "interval"] = "register"
    """What meter readings are that do not say."""
    landing_sensor_type: str | None = None
    """What sensors measure that do not say."""
    landing_starts_interval_minutes: int = Field(default=0, ge=0, le=1440)
    """Length of the interval whose start the files write; 0 if they write its end."""
    landing_oldest_days: int = Field(default=9_131, ge=1)
    """Readings that are older when they arrive go to `quarantine`; 25 years if unset."""
    landing_grace_s: float = Field(default=10.0, ge=0)
    """A file that nobody touched for so long is complete, whoever has it open. One that certainly
    nobody has open for writing is complete after a second."""
    anomaly_state_days: int = Field(default=3, ge=1)
    """Newest days that keep what anomalies remember of every series, 7 to 30 kB each; before them
    every seventh day does. More make readings that are days late cheaper to judge."""
    webhook_url: str | None = None
    """Where alerts are posted; none are sent if unset."""
    webhook_secret: SecretStr | None = None
    """Signs what is posted (HMAC-SHA256 of the body); no signature if unset."""
    open_meteo_url: str | None = None
    """`https://...` of an Open-Meteo archive API; the weather is not asked for if unset."""
    weather_delay_hours: float = Field(default=48.0, ge=0)
    """How long after its hour an archive's weather counts as known in features. What is fetched or
    landed within a week of its hour counts from its arrival."""
    latitude: float = 41.33
    longitude: float = 19.82
    automl_budget_s: float = Field(default=900.0, ge=0)
    """Wall time of all searches of a backtest together, shared equally by the engines; 0 searches
    not at all."""
    automl_trials: int | None = Field(default=None, ge=1)
    """Models that one engine may try at most; as many as there is time for if unset."""
    automl_memory_mb: int = Field(default=6_000, ge=500)
    """A search that holds more is ended; what it found so far counts."""
    backtest_folds: int = Field(default=2, ge=1, le=52)
    """Into so many parts the tested days are cut; every model is trained anew before each."""
    segment_window_weeks: int = Field(default=8, ge=1, le=104)
    """How far consumer profiles look back."""
    segment_min_coverage: float = Field(default=0.5, gt=0, le=1)
    """A meter that measured less of that time gets no profile."""
    segment_engine: Literal["local", "spark"] = "local"
    """What finds the centres of segments: this machine, or Spark (extra `spark`, Java 17)."""
    spark_url: str = "local[*]"
    """A Spark master, or `sc://host:15002` of a Spark Connect server."""

    @field_validator("timezone", "landing_timezone")
    @classmethod
    def _timezone_exists(cls, name: str) -> str:
        ZoneInfo(name)
        return name

    @property
    def zone(self) -> ZoneInfo:
        """The local time zone."""
        return ZoneInfo(self.timezone)

    @property
    def lake_place(self) -> str:
        """Where the lake lies."""
        return self.lake_url or str(self.home.resolve() / "lake")

    @property
    def landing_place(self) -> Path:
        """The folder that is watched for new files."""
        return self.landing_dir or self.home.resolve() / "landing"

    @property
    def data_docs_place(self) -> Path:
        """The folder of Data Docs."""
        return self.home.resolve() / "data_docs"

    @property
    def model_place(self) -> str:
        """The base path of served models."""
        return self.model_dir or str(self.home.resolve() / "models")
