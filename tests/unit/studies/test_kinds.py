import numpy as np
from scipy import sparse

from replication.studies.detailed.activations import Activations
from replication.studies.detailed.kinds import begins_with_al, ends_with_lead_byte, mostly, share

STRINGS = ["the", " \u0627\u0644", "\u0627\u0644\u0643", "\u0643\u0627\u0644", "\\xd8", " \\xd7", "\\xa7", "\\xd8\\xa7", "\u05d0"]


def test_the_arabic_prefix_stands_first():
    np.testing.assert_array_equal(begins_with_al(STRINGS), [0, 1, 1, 0, 0, 0, 0, 0, 0])


def test_a_lead_byte_stands_last_and_no_other_byte_is_one():
    np.testing.assert_array_equal(ends_with_lead_byte(STRINGS), [0, 0, 0, 0, 1, 1, 0, 0, 0])


def test_a_feature_is_of_a_kind_when_both_halves_say_so():
    text = np.array([4, 4, 0, 4, 4, 4, 0, 0], np.int32)
    half = np.array([0, 0, 0, 0, 1, 1, 1, 1], np.int8)
    fires = np.array([[1, 1, 1], [1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 0]], np.float32)
    features = Activations((3, 5, 8), sparse.csc_array(fires))
    kind = ends_with_lead_byte(STRINGS)
    np.testing.assert_allclose(share(features, 3, kind, text, half), [2 / 3, 1])
    np.testing.assert_allclose(share(features, 5, kind, text, half), [1, 1 / 3])
    np.testing.assert_allclose(share(features, 8, kind, text, half), [1, np.nan])
    assert mostly(features, [3, 5, 8], kind, text, half) == [3]
