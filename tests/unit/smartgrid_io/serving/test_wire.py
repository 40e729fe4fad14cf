"""The messages themselves; that TensorFlow reads them is tested against the running server."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from smartgrid_io.serving import wire

FLOATS = hnp.arrays(np.float32, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5))


@given(FLOATS)
def test_an_array_comes_back_from_its_message(array):
    request = wire.build_predict_request("m", {"x": array}, version=3)
    same = type(request).FromString(request.SerializeToString())
    np.testing.assert_array_equal(wire.read_tensor(same.inputs["x"]), array.astype(np.float64))
    assert (same.model_spec.name, same.model_spec.version.value) == ("m", 3)


def tensor(dtype, shape, **values):
    made = wire.parse_predict_response(b"").outputs["p50"]
    made.dtype = dtype
    for size in shape:
        made.tensor_shape.dim.add(size=size)
    for name, value in values.items():
        if isinstance(value, bytes):
            setattr(made, name, value)
        else:
            getattr(made, name).extend(value)
    return made


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (tensor(1, [2], float_val=[1.0, 2.0]), [1.0, 2.0]),
        (tensor(1, [3], float_val=[7.0]), [7.0, 7.0, 7.0]),
        (tensor(2, [2], double_val=[0.1, 0.2]), [0.1, 0.2]),
        (tensor(2, [1], tensor_content=np.float64(0.1).tobytes()), [0.1]),
        (tensor(1, [0]), []),
    ],
)
def test_every_way_of_carrying_values_is_read(message, expected):
    assert wire.read_tensor(message).tolist() == expected


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (tensor(9, [1]), "dtype 9 is neither"),
        (tensor(1, [3], float_val=[1.0, 2.0]), "2 values do not fill"),
        (tensor(1, [1], tensor_content=b"abc"), "buffer size"),
    ],
)
def test_values_that_do_not_fit_are_refused(message, words):
    with pytest.raises(ValueError, match=words):
        wire.read_tensor(message)


@given(st.integers(1, 2**62))
def test_a_status_request_names_model_and_version(version):
    request = wire.build_status_request("m", version=version)
    assert request.model_spec.version.value == version
    assert not wire.build_status_request("m").model_spec.HasField("version")
