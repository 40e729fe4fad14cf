"""Settings of one model server process, and the command line that carries them."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from smartgrid_services.model_server.mirror import Mirror
from smartgrid_services.model_server.model_config import ModelConfig
from smartgrid_services.model_server.watch import CONFIG_NAME, ModelSources

_THREADS = 16
"""TensorFlow's own threads do the arithmetic."""
_BATCHED = 128
"""A request that waits in a batch holds its thread, and a batch needs many of them."""


def _declare_option(parse: Callable[[str], Any], help_text: str, *also: str) -> dict[str, Any]:
    """Return the metadata of an option that bears its field's name; `also` are further names."""
    return {"parse": parse, "help_text": help_text, "also": also}


def _parse_port(word: str) -> int:
    number = int(word)
    if not 1 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{word} is no port: 1 to 65535")
    return number


def _parse_at_least(least: int) -> Callable[[str], int]:
    """Return a parser of whole numbers that refuses those below `least`."""

    def parse(word: str) -> int:
        number = int(word)
        if number < least:
            raise argparse.ArgumentTypeError(f"{word}: at least {least}")
        return number

    return parse


def _parse_seconds(word: str) -> float:
    number = float(word)
    if not 0 < number <= 3600:
        raise argparse.ArgumentTypeError(f"{word}: more than 0 seconds, at most an hour")
    return number


def _parse_seconds_or_never(word: str) -> float:
    return 0.0 if float(word) == 0 else _parse_seconds(word)


def _parse_truth(word: str) -> bool:
    if word.lower() in {"true", "1", "yes"}:
        return True
    if word.lower() in {"false", "0", "no"}:
        return False
    raise argparse.ArgumentTypeError(f"{word}: true or false")


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """What a model server is started with; one of the first three says what it serves.

    The help text beside each field explains it.
    """

    base_path: Path | None = field(
        default=None,
        metadata=_declare_option(
            Path, "holds <model>/<version>/saved_model.pb, and models.config if there is one"
        ),
    )
    model_config_file: Path | None = field(
        default=None,
        metadata=_declare_option(
            Path, "text form of a ModelServerConfig; only the models it lists are served"
        ),
    )
    model_base_path: str | None = field(
        default=None, metadata=_declare_option(str, "the folder of the single model that is served")
    )
    model_name: str = field(
        default="default", metadata=_declare_option(str, "the name of the single model")
    )
    rest_port: int = field(
        default=8501, metadata=_declare_option(_parse_port, "HTTP", "rest-api-port")
    )
    grpc_port: int = field(default=8500, metadata=_declare_option(_parse_port, "gRPC", "port"))
    host: str = field(
        default="127.0.0.1", metadata=_declare_option(str, "the address to listen at")
    )
    versions_kept: int = field(
        default=2,
        metadata=_declare_option(
            _parse_at_least(1),
            "how many of the newest versions answer, of a model that no config names; "
            "two, so that there is one to fall back to",
        ),
    )
    poll_seconds: float = field(
        default=1.0,
        metadata=_declare_option(
            _parse_seconds, "how often the folders are looked at", "file-system-poll-wait-seconds"
        ),
    )
    model_config_file_poll_wait_seconds: float = field(
        default=1.0,
        metadata=_declare_option(
            _parse_seconds_or_never, "how often the model config is read again; 0 reads it once"
        ),
    )
    allow_version_labels_for_unavailable_models: bool = field(
        default=True,
        metadata=_declare_option(
            _parse_truth, "let a new label point to a version that is not AVAILABLE yet"
        ),
    )
    max_num_load_retries: int = field(
        default=5,
        metadata=_declare_option(
            _parse_at_least(0), "how often a version whose load failed is tried again"
        ),
    )
    load_retry_interval_micros: int = field(
        default=60_000_000,
        metadata=_declare_option(_parse_at_least(0), "microseconds between the attempts"),
    )
    copies: Path | None = field(
        default=None,
        metadata=_declare_option(
            Path,
            "where versions of models at a URL (s3://...) are copied to, by default "
            "~/.cache/smartgrid/models",
        ),
    )
    enable_model_warmup: bool = field(
        default=True,
        metadata=_declare_option(
            _parse_truth, "answer the requests in assets.extra before a version is used"
        ),
    )
    num_request_iterations_for_warmup: int = field(
        default=1,
        metadata=_declare_option(
            _parse_at_least(1), "how often each of these requests is answered"
        ),
    )
    enable_batching: bool = field(
        default=False,
        metadata=_declare_option(_parse_truth, "compute requests of several callers together"),
    )
    batching_parameters_file: Path | None = field(
        default=None, metadata=_declare_option(Path, "text form of BatchingParameters")
    )
    rest_api_num_threads: int | None = field(
        default=None,
        metadata=_declare_option(
            _parse_at_least(1),
            f"REST requests at once, by default {_THREADS}, or {_BATCHED} if batched",
        ),
    )
    grpc_max_threads: int | None = field(
        default=None, metadata=_declare_option(_parse_at_least(1), "the same for gRPC")
    )
    max_body_mb: int = field(
        default=256,
        metadata=_declare_option(
            _parse_at_least(1),
            "the largest request, in megabytes, as it is sent and as it is filled up",
        ),
    )
    exit_with_parent: bool = field(
        default=False,
        metadata=_declare_option(
            _parse_truth, "end when the process that started this one is gone"
        ),
    )

    def count_rest_threads(self) -> int:
        """Return how many requests REST computes at once."""
        return self.rest_api_num_threads or self._count_threads()

    def count_grpc_threads(self) -> int:
        """Return how many requests gRPC computes at once."""
        return self.grpc_max_threads or self._count_threads()

    def _count_threads(self) -> int:
        return _BATCHED if self.enable_batching else _THREADS

    def to_arguments(self) -> list[str]:
        """Return the command line that `parse_options` reads back as these options.

        >>> parse_options(ServerOptions(model_base_path="/m").to_arguments()).model_base_path
        '/m'
        """
        words = []
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, bool):
                value = str(value).lower()
            if value is not None:
                words.append(f"--{_get_option_name(one)}={value}")
        return words

    def build_sources(self) -> ModelSources:
        """Return where the models come from.

        A config file named by `model_config_file` lists all that is served; the one below the base
        path, if it exists, rules the models it lists and leaves the others to the folders.
        """
        explicit = self.model_config_file
        beside = None if self.base_path is None else self.base_path / CONFIG_NAME
        single = self.model_base_path if explicit is None and self.base_path is None else None
        return ModelSources(
            base_path=self.base_path if explicit is None else None,
            config_file=explicit or beside,
            config_required=explicit is not None,
            config_poll_seconds=self.model_config_file_poll_wait_seconds,
            models=None
            if single is None
            else {self.model_name: ModelConfig(self.model_name, _make_absolute(single))},
            mirror=Mirror(self.copies or _choose_copies_folder()),
            new_labels_anywhere=self.allow_version_labels_for_unavailable_models,
        )


def parse_options(arguments: Sequence[str] | None = None) -> ServerOptions:
    """Return the options of a command line, the process's own for None.

    TensorFlow Serving's spelling (`--model_config_file=...`, `--port`, `--rest_api_port`) is read
    as well. Ends the process with a message for an option that is wrong.
    """
    parser = argparse.ArgumentParser(
        prog="python -m smartgrid_services.model_server",
        description="Serves SavedModels over TensorFlow Serving's REST and gRPC.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    for one in fields(ServerOptions):
        names = (_get_option_name(one), *one.metadata["also"])
        dashed = [f"--{name}" for name in names]
        flag: dict[str, Any] = {"nargs": "?", "const": True}
        parser.add_argument(
            *dashed,
            dest=one.name,
            type=one.metadata["parse"],
            default=one.default,
            help=one.metadata["help_text"],
            **(flag if isinstance(one.default, bool) else {}),
        )
    words = sys.argv[1:] if arguments is None else arguments
    options = ServerOptions(**vars(parser.parse_args([_to_dashed(word) for word in words])))
    if not (options.base_path or options.model_config_file or options.model_base_path):
        parser.error("one of --base-path, --model-config-file and --model-base-path is needed")
    if options.batching_parameters_file is not None and not options.enable_batching:
        parser.error("--batching-parameters-file needs --enable-batching")
    return options


def _choose_copies_folder() -> Path:
    return Path.home() / ".cache" / "smartgrid" / "models"


def _make_absolute(path: str) -> str:
    return path if "://" in path else str(Path(path).absolute())


def _to_dashed(word: str) -> str:
    name, equals, value = word.partition("=")
    return f"{name.replace('_', '-')}{equals}{value}" if name.startswith("--") else word


def _get_option_name(one: "Field[Any]") -> str:
    return one.name.replace("_", "-")
