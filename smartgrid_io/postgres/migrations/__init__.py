"""Alembic's environment and the versions of the database's tables."""
