"""Settings come from the environment; what they do not know is left alone."""

import pytest

from smartgrid_core.settings import Settings


def test_a_setting_that_is_gone_does_not_stop_the_start(monkeypatch, tmp_path):
    monkeypatch.setenv("SMARTGRID_LOG_FORMAT", "json")
    (tmp_path / ".env").write_text("SMARTGRID_LOG_FORMAT=yaml\nSMARTGRID_COUNTRY=DE\n")
    settings = Settings(_env_file=tmp_path / ".env")
    assert settings.country == "DE"
    assert not hasattr(settings, "log_format")


def test_a_time_zone_that_does_not_exist_is_refused(monkeypatch):
    monkeypatch.setenv("SMARTGRID_TIMEZONE", "Europe/Nowhere")
    with pytest.raises(KeyError):
        Settings(_env_file=None)


def test_places_lie_below_home_unless_they_are_set(tmp_path):
    settings = Settings(_env_file=None, home=tmp_path)
    assert settings.lake_place == str(tmp_path / "lake")
    assert settings.landing_place == tmp_path / "landing"
    assert settings.model_place == str(tmp_path / "models")
    assert settings.data_docs_place == tmp_path / "data_docs"
    elsewhere = Settings(
        _env_file=None, lake_url="s3://b/l", landing_dir=tmp_path, model_dir="s3://b/m"
    )
    assert (elsewhere.lake_place, elsewhere.model_place) == ("s3://b/l", "s3://b/m")
    assert elsewhere.landing_place == tmp_path
