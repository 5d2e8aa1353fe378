"""headstart.data.encoding: labels become numbers in the order of the classes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from headstart.data import encoding
from headstart.machinery.errors import DataError

TABLE = pd.DataFrame({"label": ["bee", "ant", "Ant", "été", "ant", "10", "9"]})


def test_classes_are_in_the_order_of_their_characters() -> None:
    assert encoding.classes(TABLE) == ["10", "9", "Ant", "ant", "bee", "été"]
    assert encoding.classes(TABLE) == np.unique(TABLE["label"]).tolist()


def test_numbers_stand_for_labels_and_give_them_back() -> None:
    classes = encoding.classes(TABLE)
    numbers = encoding.encode(TABLE["label"], classes)
    assert numbers.dtype == np.int64
    assert [classes[number] for number in numbers] == TABLE["label"].tolist()
    np.testing.assert_array_equal(numbers, np.unique(TABLE["label"], return_inverse=True)[1])


def test_classes_that_do_not_occur_keep_their_number() -> None:
    assert encoding.encode(["cat"], ["ant", "bee", "cat"]).tolist() == [2]
    assert encoding.encode([], ["ant"]).shape == (0,)


def test_a_label_that_is_no_class_is_named() -> None:
    with pytest.raises(DataError, match="'cat', 'dog': no such class; known are 'ant', 'bee'"):
        encoding.encode(["dog", "ant", "cat", "dog"], ["ant", "bee"])
