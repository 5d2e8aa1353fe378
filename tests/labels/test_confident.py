"""headstart.labels.confident: worked out by hand, as cleanlab has it."""

from __future__ import annotations

import numpy as np

from headstart.labels import confident

# Four images labelled 0 and two labelled 1. Thresholds: (0.9 + 0.8 + 0.6 + 0.1) / 4 = 0.6 and (0.9 + 0.5) / 2 = 0.7.
PROBABILITIES = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.1, 0.9], [0.1, 0.9], [0.5, 0.5]])
LABELS = np.array([0, 0, 0, 0, 1, 1])


def test_a_threshold_is_the_mean_probability_of_the_images_labelled_so() -> None:
    np.testing.assert_allclose(confident.thresholds(PROBABILITIES, LABELS), [0.6, 0.7])


def test_an_image_counts_as_the_likeliest_class_whose_threshold_it_reaches_else_as_its_label() -> None:
    assert confident.counted(PROBABILITIES, LABELS).tolist() == [0, 0, 0, 1, 1, 1]
    both = np.array([[0.45, 0.55], [0.4, 0.6], [0.55, 0.45]])  # thresholds 0.425 and 0.45: the first image reaches both
    assert confident.counted(both, np.array([0, 0, 1])).tolist() == [1, 1, 0]


def test_a_class_without_an_image_is_never_suggested() -> None:
    probabilities = np.array([[0.4, 0.1, 0.5], [0.1, 0.9, 0.0]])
    assert confident.counted(probabilities, np.array([0, 1])).tolist() == [0, 1]
    assert np.isinf(confident.thresholds(probabilities, np.array([0, 1]))[2])


def test_the_probability_of_the_label_and_the_other_class() -> None:
    probabilities = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]])
    assert confident.others(probabilities, np.array([0, 2])).tolist() == [1, 0]
    np.testing.assert_allclose(confident.confidence(probabilities, np.array([0, 2])), [0.5, 0.2])
    assert probabilities[0, 0] == 0.5
