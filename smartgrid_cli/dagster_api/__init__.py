"""The running Dagster, asked over GraphQL: `client` asks, `materializer` runs what is missing."""
