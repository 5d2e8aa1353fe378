"""headstart.averaging: weights are averaged by name, counters are not."""

from __future__ import annotations

import numpy as np

from headstart.networks import averaging


def test_an_average_mixes_weights_and_leaves_counters() -> None:
    first = {"weight": np.zeros(3, np.float32), "count": np.array(3), "more": np.ones(1)}
    found = averaging.averaged(first, {"weight": np.full(3, 4, np.float32), "count": np.array(7)}, 0.25)
    assert list(found) == ["weight", "count"]
    assert found["weight"].tolist() == [1, 1, 1]
    assert found["weight"].dtype == np.float32
    assert found["count"] == 7
