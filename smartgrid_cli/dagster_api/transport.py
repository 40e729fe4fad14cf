"""Asks a Dagster web server over GraphQL, with patience for what is on its way back."""

from collections.abc import Callable, Mapping
from typing import Any

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from smartgrid_core.errors import SmartGridError

PATIENCE_S = 600.0
"""A killed database takes the code location and the web server with it; on a machine that is busy
with other things each of the three takes minutes to come back."""


class DagsterApiError(SmartGridError):
    """Dagster refused or is not there; the text holds Dagster's own words."""


class DagsterUnreachableError(DagsterApiError):
    """Dagster, or the database that it stands on, broke while answering; it may come back."""


class GraphQLTransport:
    """The GraphQL of one web server. `patience_s` is how long a question is repeated, s.

    `while_away` is called before it is repeated; it raises when that has become pointless.
    """

    def __init__(
        self,
        url: str,
        *,
        patience_s: float = PATIENCE_S,
        while_away: Callable[[], None] = lambda: None,
    ) -> None:
        self.http = httpx.Client(base_url=url, timeout=60.0, trust_env=False)
        self._patience_s = patience_s
        self._while_away = while_away

    def close(self) -> None:
        """Close the connection."""
        self.http.close()

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """Return the answer to a query that changes nothing, repeated while Dagster is away.

        Raises DagsterApiError for a query that Dagster refuses, DagsterUnreachableError if patience
        ends.
        """
        again = Retrying(
            retry=retry_if_exception_type(DagsterUnreachableError),
            wait=wait_exponential_jitter(multiplier=0.5, max=5),
            stop=stop_after_delay(self._patience_s),
            before_sleep=lambda _: self._while_away(),
            reraise=True,
        )
        return again(self.tell, query, **variables)

    def tell(self, query: str, **variables: Any) -> dict[str, Any]:
        """Return the answer to a query that may change something, sent once.

        Raises DagsterApiError if nothing was changed, DagsterUnreachableError if that is unknown.
        """
        try:
            answer = self.http.post("/graphql", json={"query": query, "variables": variables})
        except httpx.TransportError as error:
            raise DagsterUnreachableError(f"Dagster does not answer: {error}") from error
        if not answer.headers.get("content-type", "").startswith("application/json"):
            raise DagsterUnreachableError(
                f"Dagster answered {answer.status_code}: {answer.text[:300]}"
            )
        content: dict[str, Any] = answer.json()
        for refusal in content.get("errors") or []:
            # What GraphQL refuses has no path; what broke while it was executed has one.
            kind = DagsterUnreachableError if refusal.get("path") else DagsterApiError
            raise kind(f"Dagster refused: {refusal['message']}")
        data: dict[str, Any] = content["data"]
        for name, value in data.items():
            if isinstance(value, Mapping) and value.get("__typename") == "PythonError":
                raise DagsterUnreachableError(f"Dagster failed at {name}: {value['message']}")
        return data
