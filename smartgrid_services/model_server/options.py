"""Settings of one model server process, and the command line that carries them."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """What a model server is started with."""

    base_path: Path
    """Every folder below is a model, every numeric folder below that a version."""
    rest_port: int = 8501
    grpc_port: int = 8500
    host: str = "127.0.0.1"
    versions_kept: int = 2
    """The newest versions that answer; two, so that there is one to fall back to."""
    poll_seconds: float = 1.0
    max_body_mb: int = 256
    """A larger REST request is refused before it fills the memory."""
    exit_with_parent: bool = False
    """End when the process that started this one is gone."""

    def arguments(self) -> list[str]:
        """The command line that `parse` reads back as these options."""
        words = [
            f"--base-path={self.base_path}",
            f"--rest-port={self.rest_port}",
            f"--grpc-port={self.grpc_port}",
            f"--host={self.host}",
            f"--versions-kept={self.versions_kept}",
            f"--poll-seconds={self.poll_seconds}",
            f"--max-body-mb={self.max_body_mb}",
        ]
        return [*words, "--exit-with-parent"] if self.exit_with_parent else words


def parse(arguments: Sequence[str] | None = None) -> ServerOptions:
    """Options from a command line, the process's own for None; ends the process on a bad one."""
    default = ServerOptions(base_path=Path())
    parser = argparse.ArgumentParser(
        prog="python -m smartgrid_services.model_server",
        description="Serves SavedModels over TensorFlow Serving's REST and gRPC.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--base-path", type=Path, required=True, help="holds <model>/<version>/saved_model.pb"
    )
    parser.add_argument("--rest-port", type=_port, default=default.rest_port, help="HTTP")
    parser.add_argument("--grpc-port", type=_port, default=default.grpc_port, help="gRPC")
    parser.add_argument("--host", default=default.host, help="the address to listen at")
    parser.add_argument(
        "--versions-kept",
        type=_at_least_one,
        default=default.versions_kept,
        help="how many of the newest versions answer",
    )
    parser.add_argument(
        "--poll-seconds",
        type=_seconds,
        default=default.poll_seconds,
        help="how often the folders are looked at",
    )
    parser.add_argument(
        "--max-body-mb",
        type=_at_least_one,
        default=default.max_body_mb,
        help="the largest REST request, in megabytes",
    )
    parser.add_argument(
        "--exit-with-parent",
        action="store_true",
        help="end when the process that started this one is gone",
    )
    return ServerOptions(**vars(parser.parse_args(arguments)))


def _port(word: str) -> int:
    number = int(word)
    if not 1 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{word} is no port: 1 to 65535")
    return number


def _at_least_one(word: str) -> int:
    number = int(word)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{word}: at least 1")
    return number


def _seconds(word: str) -> float:
    number = float(word)
    if not 0 < number <= 3600:
        raise argparse.ArgumentTypeError(f"{word}: more than 0 seconds, at most an hour")
    return number
