"""The running Dagster, asked over GraphQL: `client` asks, `walk` runs what is missing."""
