"""The model config file in TensorFlow Serving's text form."""

import pytest

from smartgrid_services.model_server.model_config import (
    ModelConfig,
    VersionPolicy,
    parse_model_config,
    read_model_config,
)
from smartgrid_services.model_server.status import Code, ServingError

TWO_MODELS = """
model_config_list {
  config {
    name: "load_forecaster"
    base_path: "/models/load_forecaster"
    model_platform: "tensorflow"
    model_version_policy { specific { versions: 3 versions: 7 } }
    version_labels { key: "stable" value: 3 }
    version_labels { key: "canary" value: 7 }
  }
  config: {
    name: "half_plus_two", base_path: "s3://models/half_plus_two", model_platform: "tensorflow"
  }
}
"""


def one_model(more="", *, name="m", base_path="/m", platform='model_platform: "tensorflow"'):
    return (
        f'model_config_list {{ config {{ name: "{name}" base_path: "{base_path}" '
        f"{platform} {more} }} }}"
    )


def test_models_come_with_their_policies_and_labels():
    assert parse_model_config(TWO_MODELS) == {
        "load_forecaster": ModelConfig(
            name="load_forecaster",
            base_path="/models/load_forecaster",
            policy=VersionPolicy(newest=None, specific=frozenset({3, 7})),
            labels={"stable": 3, "canary": 7},
        ),
        "half_plus_two": ModelConfig(name="half_plus_two", base_path="s3://models/half_plus_two"),
    }


@pytest.mark.parametrize(
    ("policy", "answering"),
    [
        ("", [9]),
        ("model_version_policy { latest {} }", [9]),
        ("model_version_policy { latest { num_versions: 2 } }", [9, 4]),
        ("model_version_policy { all {} }", [9, 4, 1]),
        ("model_version_policy { specific { versions: 1 versions: 5 } }", [1]),
        ("model_version_policy { specific {} }", []),
    ],
)
def test_a_policy_chooses_among_the_versions_that_are_there(policy, answering):
    chosen = parse_model_config(one_model(policy))["m"].policy
    assert chosen.select_candidates([1, 4, 9])[: chosen.newest] == answering


def test_the_deprecated_model_type_names_the_platform_too():
    assert list(parse_model_config(one_model(platform="model_type: TENSORFLOW"))) == ["m"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model_config_list { config { name: ", "Invalid protobuf file: "),
        ("model_config_lists {}", 'no field named "model_config_lists"'),
        (one_model('version_labels { key: "stable" value: "one" }'), "Invalid protobuf file: "),
        ("", "Only ModelConfigList is currently supported"),
        ("custom_model_config {}", "Only ModelConfigList is currently supported"),
        (
            TWO_MODELS.replace('name: "half_plus_two"', 'name: "load_forecaster"'),
            "Illegal to list model load_forecaster multiple times in config list",
        ),
        (
            one_model(base_path="models/m"),
            "to have an absolute path or URI; got base_path()=models",
        ),
        (one_model(name=""), "has no name"),
        (one_model(platform=""), "Illegal setting neither ModelServerConfig::model_type"),
        (
            one_model(platform='model_platform: "onnx"'),
            "Model m requests unsupported platform onnx",
        ),
        (one_model("model_type: TENSORFLOW"), "Illegal setting both"),
        (one_model(platform="model_type: OTHER"), "model_type choice 2 not supported"),
    ],
)
def test_a_config_that_cannot_be_used_is_refused_with_its_reason(text, words):
    with pytest.raises(ServingError) as refusal:
        parse_model_config(text)
    assert refusal.value.code is Code.INVALID_ARGUMENT
    assert words in refusal.value.message


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "models.config"
    with pytest.raises(ServingError, match=r"models\.config; No such file or directory"):
        read_model_config(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ServingError, match=r"models\.config cannot be read"):
        read_model_config(path)
    path.write_text("{")
    with pytest.raises(ServingError, match=r"models\.config: Invalid protobuf file"):
        read_model_config(path)
