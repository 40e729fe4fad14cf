"""Since when a meter is suspected."""

import numpy as np

from smartgrid_ml.mining.theft.day_model import DayScores
from smartgrid_ml.mining.theft.suspects import find_first_suspicious_day


def first_day(days: str) -> int:
    """Of one meter: x is a suspicious day, o a clean one, - one that was not judged."""
    odds = np.array([[np.nan if day == "-" else 0.0 for day in days]])
    trusted = np.array([[day != "x" for day in days]])
    return int(find_first_suspicious_day(DayScores(odds, trusted))[0])


def test_a_meter_is_suspected_from_its_first_day_of_mostly_suspicious_ones():
    assert first_day("ooooxxoxx") == 4
    assert first_day("xoooooxxx") == 6
    assert first_day("xx-x-xx") == 0


def test_one_or_two_strange_days_are_no_suspicion():
    assert first_day("ooooooxx") == -1
    assert first_day("--------") == -1
