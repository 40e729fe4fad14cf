"""The alerts on record, with their webhook, as a Dagster resource."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg

from smartgrid_core.protocols import AlertStore
from smartgrid_core.settings import Settings

if TYPE_CHECKING:
    from smartgrid_io.postgres.warehouse import PostgresWarehouse


class AlertStoreResource(dg.ConfigurableResource[AlertStore]):
    """Alerts in the warehouse's database; posted to SMARTGRID_WEBHOOK_URL if it is set."""

    settings: dg.ResourceDependency[Settings]
    warehouse: dg.ResourceDependency["PostgresWarehouse"]

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[AlertStore]:
        """Hold the webhook's connection for the length of a run."""
        from smartgrid_io.notify.webhook import WebhookNotifier
        from smartgrid_io.postgres.alert_store import PostgresAlertStore

        secret = self.settings.webhook_secret
        with WebhookNotifier(secret=secret.get_secret_value() if secret else None) as notifier:
            yield PostgresAlertStore(
                url=self.warehouse.url,
                notifier=notifier,
                recipient=self.settings.webhook_url,
            )
