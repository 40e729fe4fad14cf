"""Forecasters, mining, evaluation, promotion and export. Imports neither Dagster nor a store.

Ways in: `training.train_and_register`, `evaluation.backtest`, `forecasting.registry`.
"""
