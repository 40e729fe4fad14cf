"""Forecasters as SavedModels of stock TensorFlow operations, and the proof that both agree.

Ways in: `artifact.saved_model` writes a forecaster, `regressors` builds the graph of a single
model, `exportable` lists what can be exported.
"""
