"""TensorFlow Serving's model config: which models, which of their versions, which labels."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from smartgrid_services.model_server.status import Code, ServingError

PLATFORM = "tensorflow"

_TENSORFLOW_TYPE = 1
"""ModelType.TENSORFLOW of the deprecated field `model_type`."""
_ABSOLUTE = re.compile(r"/|[a-zA-Z][a-zA-Z0-9+.-]*://")


@dataclass(frozen=True, slots=True)
class VersionPolicy:
    """Which of the versions in a model's folder shall answer.

    Attributes:
        newest: How many of the newest versions; None for all of them.
        specific: Exactly these versions; None if the policy names none.
    """

    newest: int | None = 1
    specific: frozenset[int] | None = None

    def select_candidates(self, versions: Iterable[int]) -> list[int]:
        """Return the versions that may answer, newest first; the first `newest` of them shall.

        >>> VersionPolicy(newest=1).select_candidates([1, 3, 2])
        [3, 2, 1]
        """
        found = sorted(versions, reverse=True)
        return found if self.specific is None else [one for one in found if one in self.specific]


LATEST_POLICY = VersionPolicy()
"""What TensorFlow Serving does where a model's config says nothing."""


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """One model of the model server's config.

    Attributes:
        name: The name by which requests ask for the model.
        base_path: Folder or URL whose numeric subfolders are the versions.
        policy: Which of the versions answer.
        labels: Version by label, such as stable and canary.
    """

    name: str
    base_path: str
    policy: VersionPolicy = LATEST_POLICY
    labels: Mapping[str, int] = field(default_factory=dict)


Models = Mapping[str, ModelConfig]


def parse_model_config(text: str) -> Models:
    """Return the models of a ModelServerConfig in text form, by name.

    Raises ServingError with TensorFlow Serving's words, or the parser's line and column.
    """
    message = model_server_config_pb2.ModelServerConfig()
    try:
        text_format.Parse(text, message)
    except (text_format.ParseError, ValueError, RecursionError) as error:
        raise ServingError(Code.INVALID_ARGUMENT, f"Invalid protobuf file: {error}") from error
    return convert_model_config(message)


def read_model_config(path: Path) -> Models:
    """Return the models of a config file, by name.

    Raises ServingError if the file cannot be read or holds no valid config.
    """
    try:
        text = path.read_text()
    except FileNotFoundError as error:
        raise ServingError(Code.NOT_FOUND, f"{path}; No such file or directory") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ServingError(Code.UNAVAILABLE, f"{path} cannot be read: {error}") from error
    try:
        return parse_model_config(text)
    except ServingError as error:
        raise ServingError(error.code, f"{path}: {error.message}") from error


def convert_model_config(message: Any) -> Models:
    """Return the models of a ModelServerConfig message, by name.

    Raises ServingError for what TensorFlow Serving refuses, too.
    """
    if message.WhichOneof("config") != "model_config_list":
        raise ServingError(
            Code.INVALID_ARGUMENT,
            "ServerModelConfig type not supported by HandleReloadConfigRequest."
            " Only ModelConfigList is currently supported",
        )
    models: dict[str, ModelConfig] = {}
    for config in message.model_config_list.config:
        if config.name in models:
            raise _invalid(f"Illegal to list model {config.name} multiple times in config list")
        models[config.name] = _convert_model(config)
    return models


def _convert_model(config: Any) -> ModelConfig:
    _check_platform(config)
    if not config.name:
        raise _invalid("a model in the config list has no name")
    if not _ABSOLUTE.match(config.base_path):
        raise _invalid(
            f"Expected model {config.name} to have an absolute path or URI; "
            f"got base_path()={config.base_path}"
        )
    return ModelConfig(
        name=config.name,
        base_path=config.base_path,
        policy=_convert_policy(config.model_version_policy),
        labels=dict(config.version_labels),
    )


def _check_platform(config: Any) -> None:
    if config.model_type:
        if config.model_platform:
            raise _invalid(
                "Illegal setting both ModelServerConfig::model_type (deprecated) "
                "and ModelServerConfig::model_platform."
            )
        if config.model_type != _TENSORFLOW_TYPE:
            raise _invalid(
                f"ModelServerConfig::model_type choice {config.model_type} not supported."
            )
        return
    if not config.model_platform:
        raise _invalid(
            "Illegal setting neither ModelServerConfig::model_type (deprecated) "
            "nor ModelServerConfig::model_platform."
        )
    if config.model_platform != PLATFORM:
        raise _invalid(f"Model {config.name} requests unsupported platform {config.model_platform}")


def _convert_policy(policy: Any) -> VersionPolicy:
    match policy.WhichOneof("policy_choice"):
        case "all":
            return VersionPolicy(newest=None)
        case "specific":
            return VersionPolicy(newest=None, specific=frozenset(policy.specific.versions))
        case _:
            # Zero is what an empty `latest {}` says, and means one.
            return VersionPolicy(newest=policy.latest.num_versions or 1)


def _invalid(message: str) -> ServingError:
    return ServingError(Code.INVALID_ARGUMENT, message)
