"""TensorFlow, imported where it is needed (it takes many seconds), quiet and reproducible."""

import os
from typing import Any

QUIET_AND_REPRODUCIBLE = {
    "TF_CPP_MIN_LOG_LEVEL": "2",
    # Its kernels may round differently from one machine to the next.
    "TF_ENABLE_ONEDNN_OPTS": "0",
    # Two threads are as fast as many on networks of this size, and leave room for others.
    "TF_NUM_INTRAOP_THREADS": "2",
    "TF_NUM_INTEROP_THREADS": "2",
    "KERAS_BACKEND": "tensorflow",
}


def tensorflow() -> Any:
    """The module; what the environment already says is kept."""
    for name, value in QUIET_AND_REPRODUCIBLE.items():
        os.environ.setdefault(name, value)
    import tensorflow as tf

    return tf
