#!/bin/sh
# Run once by the PostgreSQL image on an empty volume: the databases beside the product's own.
set -eu
for name in dagster mlflow; do
  psql --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --quiet \
    --command "CREATE DATABASE $name"
done
