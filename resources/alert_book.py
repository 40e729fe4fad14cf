"""The alerts on record, with their webhook, as a Dagster resource."""

from collections.abc import Iterator

import dagster as dg

from smartgrid_core.protocols import AlertStore


@dg.resource(required_resource_keys={"settings", "warehouse"})
def alert_book(context: dg.InitResourceContext) -> Iterator[AlertStore]:
    """Alerts in the warehouse's database; posted to SMARTGRID_WEBHOOK_URL if it is set."""
    from smartgrid_io.notify.webhook import WebhookNotifier
    from smartgrid_io.postgres.alert_store import PostgresAlertStore

    settings = context.resources.settings
    secret = settings.webhook_secret
    with WebhookNotifier(secret=secret.get_secret_value() if secret else None) as notifier:
        yield PostgresAlertStore(
            url=context.resources.warehouse.url,
            notifier=notifier,
            recipient=settings.webhook_url,
        )
