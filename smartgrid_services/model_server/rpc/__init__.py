"""The gRPC side: PredictionService, ModelService and health. Imports TensorFlow's messages."""
