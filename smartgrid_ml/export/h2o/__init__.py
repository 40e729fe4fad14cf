"""Models of H2O as TensorFlow operations, read from their MOJO: `graph` is the way in."""
