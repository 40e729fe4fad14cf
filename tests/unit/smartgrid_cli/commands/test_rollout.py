"""What `smartgrid rollback`, `promote` and `status` say about versions."""

from io import StringIO

from rich.console import Console

from smartgrid_cli.commands.rollout import describe_moves
from smartgrid_cli.display.tables import show_models
from smartgrid_core.rollout.labels import ServingState
from smartgrid_io.serving.label_mover import LabelMoveResult

TRIAL = ServingState("m", (1, 2, 3), stable=2, canary=3)


def test_a_move_is_said_label_by_label():
    assert describe_moves(LabelMoveResult(TRIAL, TRIAL.promote())) == [
        "m: stable was version 2 and is version 3",
        "m: version 3 is no longer canary",
    ]
    assert describe_moves(LabelMoveResult(TRIAL, TRIAL.drop_canary())) == [
        "m: stable is version 2 as before",
        "m: version 3 is no longer canary",
    ]
    assert describe_moves(
        LabelMoveResult(ServingState("m"), ServingState("m", (1,), stable=1))
    ) == ["m: stable is version 1"]


def test_the_status_shows_who_answers_and_what_is_not_ready():
    out = StringIO()
    console = Console(file=out, width=100)
    show_models([TRIAL, ServingState("new", (1,))], ["new: no version is labelled"], console)
    lines = [line.split() for line in out.getvalue().splitlines()]
    assert ["m", "2", "3", "1,", "2,", "3"] in lines
    assert ["new", "1"] in lines
    assert "not ready: new: no version is labelled" in out.getvalue()
