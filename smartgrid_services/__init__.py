"""The long-running processes; none of them imports Dagster."""
