"""tf.train.Example from gRPC's Input message."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from smartgrid_services.model_server.servables.inference import Examples


def extract_examples(message: Any) -> Examples:
    """Return the examples of an Input message, each with the context's features before its own."""
    match message.WhichOneof("kind"):
        case "example_list":
            return pack_examples([one.SerializeToString() for one in message.example_list.examples])
        case "example_list_with_context":
            given = message.example_list_with_context
            # Two messages one after the other read as their merge.
            context = given.context.SerializeToString()
            return pack_examples([context + one.SerializeToString() for one in given.examples])
        case _:
            return pack_examples([])


def pack_examples(serialized: Sequence[bytes]) -> Examples:
    """Return serialized examples as an object array, (n_examples,)."""
    array = np.empty(len(serialized), dtype=object)
    array[:] = serialized
    return array
