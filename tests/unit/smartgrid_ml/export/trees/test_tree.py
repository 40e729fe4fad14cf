import numpy as np
import pytest

from smartgrid_ml.export.trees.tree import Categories, build_tree, lower_thresholds, unpack_bitset


def test_nodes_are_ordered_by_level_with_every_right_child_after_its_sibling():
    tree = build_tree(
        feature=[3, 0, 5, 0, 0],
        threshold=[1.0, 0, 2.0, 0, 0],
        left=[4, -1, 3, -1, -1],
        right=[2, -1, 1, -1, -1],
        value=[0, 10.0, 0, 20.0, 30.0],
        missing_left=[True, False, False, False, False],
        zero_is_missing=[False, False, True, False, False],
    )

    assert tree.feature.tolist() == [3, 0, 5, 0, 0]
    np.testing.assert_array_equal(tree.threshold, [1.0, np.nan, 2.0, np.nan, np.nan])
    assert tree.left.tolist() == [1, 1, 3, 3, 4], "a leaf is its own left child"
    assert tree.value.tolist() == [0.0, 30.0, 0.0, 20.0, 10.0]
    assert (tree.view[0], tree.view[2]) == (0, 3)
    assert tree.depth == 2


def test_a_split_by_category_has_no_threshold_and_moves_with_its_node():
    members = Categories(frozenset({1, 4}))
    tree = build_tree(
        feature=[0, 0, 1, 0, 0],
        threshold=[0.5, 0, 99, 0, 0],
        left=[2, -1, 3, -1, -1],
        right=[1, -1, 4, -1, -1],
        value=[0, 1, 0, 2, 3],
        missing_left=False,
        categories={2: members},
    )

    assert tree.categories == {1: members}
    assert np.isnan(tree.threshold[1])


def test_a_node_with_two_parents_is_refused():
    with pytest.raises(ValueError, match="two parents"):
        build_tree(
            feature=[0, 0],
            threshold=[0, 0],
            left=[1, -1],
            right=[1, -1],
            value=[0, 0],
            missing_left=True,
        )


def test_a_threshold_that_is_nan_is_refused():
    with pytest.raises(ValueError, match="threshold is NaN"):
        build_tree(
            feature=[0, 0, 0],
            threshold=[np.nan, 0, 0],
            left=[1, -1, -1],
            right=[2, -1, -1],
            value=[0, 1, 2],
            missing_left=True,
        )


def test_a_lowered_threshold_parts_numbers_as_less_than_does():
    threshold = np.array([1.5, -2.0], np.float32)
    lowered = lower_thresholds(threshold)

    assert (lowered < threshold).all()
    above = np.nextafter(lowered.astype(np.float32), np.float32(np.inf))
    assert above.tolist() == [1.5, -2.0], "the next float32 is the threshold itself"
    assert lower_thresholds([0.0]).tolist() == [-np.finfo(np.float64).tiny]


def test_bits_of_several_words_are_counted_through():
    assert unpack_bitset(np.array([1 << 31, 0, 6])) == {31, 65, 66}
    assert unpack_bitset(np.array([], np.int64)) == frozenset()
