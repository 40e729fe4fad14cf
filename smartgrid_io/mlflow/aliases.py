"""Moves a registered model's alias over MLflow's REST API; its client alone takes 5 s to import."""

import httpx

from smartgrid_core.errors import ConfigurationError, PublicationError

TIMEOUT_S = 2.0
"""Whoever rolls back in a hurry does not wait for a registry."""


class MlflowAliases:
    """Aliases of the models at an MLflow server (`http://host:port`)."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Let `alias` mean this version from now on; it leaves the one that had it.

        Raises ConfigurationError if MLflow does not answer, PublicationError if it refuses.
        """
        if not self.url.startswith("http"):
            raise ConfigurationError(
                f"aliases are moved over HTTP, SMARTGRID_MLFLOW_URL is {self.url.split(':')[0]}:..."
            )
        try:
            answer = httpx.post(
                f"{self.url}/api/2.0/mlflow/registered-models/alias",
                json={"name": name, "alias": alias, "version": version},
                timeout=TIMEOUT_S,
                trust_env=False,
            )
        except httpx.HTTPError as error:
            raise ConfigurationError(f"MLflow does not answer at {self.url}: {error}") from error
        if not answer.is_success:
            raise PublicationError(
                f"MLflow at {self.url} refused the alias: {_read_error_text(answer)}"
            )


def _read_error_text(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status_code}"
