"""Where data lives and goes: PostgreSQL, the lake, MLflow, the model server, notifications."""
