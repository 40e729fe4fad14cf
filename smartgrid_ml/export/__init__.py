"""Forecasters as SavedModels of stock TensorFlow operations, and the proof that they agree."""
