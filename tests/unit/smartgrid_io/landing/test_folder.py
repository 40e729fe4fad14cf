"""Which files of a listing have arrived: complete, and not landed yet."""

from datetime import UTC, datetime, timedelta

from smartgrid_io.landing.folder import Candidate, select_arrived

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
GRACE = timedelta(seconds=10)


def file(name: str, *, age_s: float = 60, size: int = 100) -> Candidate:
    return Candidate(f"landing/{name}", size, NOW - timedelta(seconds=age_s))


def names(*files: Candidate, landed: list[tuple[str, int, datetime]] | None = None) -> list[str]:
    found = select_arrived(files, landed=landed or [], now=NOW, grace=GRACE)
    return [candidate.name for candidate in found]


def test_a_file_that_was_touched_just_now_is_still_being_written():
    assert names(file("old.csv"), file("young.csv", age_s=9), file("empty.csv", size=0)) == [
        "old.csv"
    ]


def test_a_landed_file_is_offered_again_only_when_it_has_changed():
    landed = [("a.csv", 100, NOW - timedelta(seconds=30))]
    assert names(file("a.csv"), landed=landed) == []
    assert names(file("a.csv", age_s=20), landed=landed) == ["a.csv"]
    assert names(file("a.csv", size=120), landed=landed) == ["a.csv"]
    landed.append(("a.csv", 100, NOW))
    assert names(file("a.csv", age_s=20), landed=landed) == []


def test_the_same_name_with_other_content_is_another_arrival():
    assert file("a.csv").run_key != file("a.csv", size=101).run_key
    assert file("a.csv").run_key == file("a.csv").run_key
