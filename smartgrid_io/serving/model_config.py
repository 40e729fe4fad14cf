"""TensorFlow Serving's model config file: what is served, as its text form, and back.

The file is a ModelServerConfig; an entry of ours lists its versions (`specific`) and labels. What
others wrote about other models, and in fields that are not ours, stays.
"""

from typing import Any

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from smartgrid_core.errors import PublicationError
from smartgrid_core.rollout.labels import CANARY, STABLE, ServingState

PLATFORM = "tensorflow"

EMPTY_CONFIG = "model_config_list {\n}\n"
"""A server with this config runs and serves nothing yet."""


def read_served(text: str, model: str) -> ServingState:
    """Return what the config has of a model; nothing if it does not list it, or not by versions.

    Raises PublicationError with line and column for a text that is no such config.

    >>> read_served(EMPTY_CONFIG, "load_forecaster").versions
    ()
    """
    entry = next((each for each in _list_entries(parse_config(text)) if each.name == model), None)
    if entry is None:
        return ServingState(model)
    versions = tuple(dict.fromkeys(entry.model_version_policy.specific.versions))
    labels = {label: version for label, version in entry.version_labels.items() if version > 0}
    return ServingState(model, versions, stable=labels.get(STABLE), canary=labels.get(CANARY))


def read_all_served(text: str) -> list[ServingState]:
    """Return what the config has of every model, in its order. Raises PublicationError."""
    return [read_served(text, entry.name) for entry in _list_entries(parse_config(text))]


def write_served(text: str, served: ServingState, *, base_path: str) -> str:
    """Return the config with the model's entry replaced. Raises PublicationError."""
    config = parse_config(text)
    entry = next((each for each in _list_entries(config) if each.name == served.model), None)
    if entry is None:
        entry = config.model_config_list.config.add(name=served.model)
    entry.base_path = base_path
    entry.ClearField("model_type")
    entry.model_platform = PLATFORM
    entry.model_version_policy.Clear()
    entry.model_version_policy.specific.versions.extend(served.versions)
    for label in (STABLE, CANARY):
        entry.version_labels.pop(label, None)
    entry.version_labels.update(served.labels)
    return str(text_format.MessageToString(config))


def parse_config(text: str) -> Any:
    """Return the config as a message. Raises PublicationError with line and column."""
    config = model_server_config_pb2.ModelServerConfig()
    try:
        text_format.Parse(text, config)
    except text_format.ParseError as error:
        raise PublicationError(f"config: models.config cannot be read: {error}") from error
    if config.WhichOneof("config") == "custom_model_config":
        raise PublicationError("config: models.config holds a custom_model_config, not a list")
    return config


def _list_entries(config: Any) -> Any:
    return config.model_config_list.config
