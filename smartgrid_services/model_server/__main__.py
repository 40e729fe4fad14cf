"""`python -m smartgrid_services.model_server`: reads the command line and serves."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one server; returns the exit code."""
    # Before the imports, which take seconds on a busy machine: who started us may be gone then.
    parent = os.getppid()
    from smartgrid_core.errors import SmartGridError
    from smartgrid_services.model_server.options import parse_options
    from smartgrid_services.model_server.server import serve

    options = parse_options(arguments)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    try:
        with asyncio.Runner(loop_factory=_choose_loop_factory()) as runner:
            runner.run(serve(options, parent=parent))
    except SmartGridError as error:
        logging.getLogger(__name__).error("%s", error)
        return 1
    return 0


def _choose_loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's factory, quicker but not made for every platform; None is asyncio's."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    sys.stdout.flush()
    # Not sys.exit: an import of TensorFlow in its thread cannot be interrupted, only left.
    os._exit(code)
