"""The models' config: TensorFlow Serving's text form, with what others wrote left as it is."""

import pytest

from smartgrid_core.errors import PublicationError
from smartgrid_core.rollout.labels import ServingState
from smartgrid_io.serving.model_config import (
    EMPTY_CONFIG,
    parse_config,
    read_all_served,
    read_served,
    write_served,
)

HAND_WRITTEN = """
# Kept by people.
model_config_list {
  config {
    name: "other"
    base_path: "/elsewhere/other"
    model_platform: "tensorflow"
    model_version_policy { latest { num_versions: 2 } }
    logging_config { sampling_config { sampling_rate: 0.5 } }
    version_labels { key: "beta" value: 4 }
  }
}
"""


def test_what_is_served_is_written_as_tensorflow_serving_documents_it():
    text = write_served(
        EMPTY_CONFIG, ServingState("m", (3, 4, 5), stable=4, canary=5), base_path="/models/m"
    )
    assert text == (
        "model_config_list {\n"
        "  config {\n"
        '    name: "m"\n'
        '    base_path: "/models/m"\n'
        '    model_platform: "tensorflow"\n'
        "    model_version_policy {\n"
        "      specific {\n"
        "        versions: 3\n"
        "        versions: 4\n"
        "        versions: 5\n"
        "      }\n"
        "    }\n"
        "    version_labels {\n"
        '      key: "canary"\n'
        "      value: 5\n"
        "    }\n"
        "    version_labels {\n"
        '      key: "stable"\n'
        "      value: 4\n"
        "    }\n"
        "  }\n"
        "}\n"
    )


def test_what_was_written_is_read_back_and_a_label_that_went_is_gone():
    served = ServingState("m", (3, 4, 5), stable=4, canary=5)
    text = write_served(EMPTY_CONFIG, served, base_path="/models/m")
    assert read_served(text, "m") == served
    later = write_served(text, served.drop_canary(), base_path="/models/m")
    assert read_all_served(later) == [ServingState("m", (3, 4), stable=4)]
    assert read_served(later, "unknown") == ServingState("unknown")


def test_other_models_and_fields_stay_as_people_wrote_them():
    text = write_served(HAND_WRITTEN, ServingState("m", (1,), stable=1), base_path="/models/m")
    before = parse_config(HAND_WRITTEN).model_config_list.config[0]
    assert parse_config(text).model_config_list.config[0] == before

    taken_over = write_served(
        text, ServingState("other", (4,), stable=4), base_path="/models/other"
    )
    entry = parse_config(taken_over).model_config_list.config[0]
    assert entry.logging_config == before.logging_config
    assert dict(entry.version_labels) == {"beta": 4, "stable": 4}


def test_a_config_that_cannot_be_read_says_where():
    with pytest.raises(PublicationError, match=r"models.config cannot be read: 1:"):
        read_served("model_config_lis {", "m")
