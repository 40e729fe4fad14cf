"""Trainings, SavedModels and aliases in MLflow; `registry.MlflowRegistry` is the way in."""
