"""Find groups of near-duplicate images: perceptual hashes that differ in few bits.

They are found without comparing all images with all others.

Pigeonhole search: cut the 64 bits into distance + 2 blocks; two hashes within the distance agree in at least two blocks. For each pair of
blocks the hashes are sorted with these blocks first, and each is compared with its next neighbours in that order, a bounded number of them,
so that a million look-alike pictures cost no more than a million different ones (a few near-duplicates among them may then be missed).
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

COMPARISONS = 1024  # most comparisons an image, over all pairs of blocks
PLAIN_BITS = 8  # a hash with fewer bits set comes from a plain picture and says too little to call two of them alike


def group(phash: pd.Series, pixels: pd.Series, distance: int, limit: int, together: pd.Series | None = None) -> np.ndarray:
    """Group n images into int64 group numbers, shape (n,).

    `phash` holds 16 hex digits per image, `pixels` the hash (hex) of its decoded pixels. Images of one text in `together` that is not
    empty always share a group, whatever its size.

    Images of identical pixels always share a group. Beyond them, images whose hashes differ in at most `distance` bits are joined, also by
    way of others, as long as a group has at most `limit` images. Groups are numbered by first appearance and do not otherwise depend on
    the order of the rows.
    """
    if len(phash) == 0:
        return np.empty(0, np.int64)
    codes, unique = pd.factorize(pixels)
    first = np.full(len(unique), len(codes), np.int64)
    np.minimum.at(first, codes, np.arange(len(codes)))
    hashes = _numbers(phash.iloc[first].tolist())
    tie = _numbers([text[:16] for text in unique.tolist()])
    order = np.lexsort((tie, hashes))
    forest = Forest(np.bincount(codes)[order], limit)
    if together is not None:
        place = np.empty(len(unique), np.int64)
        place[order] = np.arange(len(unique))
        join_given(forest, place[codes], together.to_numpy())
    hashes = hashes[order]
    representative = _join_equal(hashes, forest)
    telling = np.flatnonzero(representative & (np.bitwise_count(hashes) >= PLAIN_BITS))
    if distance > 0 and len(telling) > 1:
        _join_near(hashes, telling, forest, distance)
    roots = np.empty(len(unique), np.int64)
    roots[order] = forest.roots()
    return pd.factorize(roots[codes])[0].astype(np.int64)


class Forest:
    """Union-find over weighted nodes, no tree heavier than `limit` unless a single node is."""

    def __init__(self, weights: np.ndarray, limit: int) -> None:
        self.parent = np.arange(len(weights))
        self.weight = weights.astype(np.int64)
        self.limit = limit

    def roots(self) -> np.ndarray:
        """The root of every node, shape (n,)."""
        while True:
            up = self.parent[self.parent]
            if np.array_equal(up, self.parent):
                return up
            self.parent = up

    def join(self, left: np.ndarray, right: np.ndarray, *, limit: int | None = None) -> None:
        """Join the nodes of each pair, in order, if the limit allows: the forest's own, or this one."""
        parent, weight, limit = self.parent, self.weight, self.limit if limit is None else limit
        for a, b in zip(left.tolist(), right.tolist(), strict=True):
            while parent[a] != a:
                a = parent[a]
            while parent[b] != b:
                b = parent[b]
            if a != b and weight[a] + weight[b] <= limit:
                low, high = (a, b) if a < b else (b, a)
                parent[high] = low
                weight[low] += weight[high]


def _numbers(texts: list[str]) -> np.ndarray:
    """16 hex digits each, as uint64 (n,)."""
    return np.frombuffer(bytes.fromhex("".join(texts)), ">u8").astype(np.uint64)


def join_given(forest: Forest, nodes: np.ndarray, together: np.ndarray) -> None:
    """Join the nodes of images that belong together, without a limit."""
    rows = np.flatnonzero(together != "")
    order = rows[np.argsort(together[rows], kind="stable")]
    same = np.flatnonzero(together[order[:-1]] == together[order[1:]])
    forest.join(nodes[order[same]], nodes[order[same + 1]], limit=int(forest.weight.sum()))


def _join_equal(hashes: np.ndarray, forest: Forest) -> np.ndarray:
    """Join neighbours of equal hash in the sorted array, and mark one node per hash.

    The result is true for the node that stands for its hash from here on: the last one, because a hash with more images than the limit
    fills one group after the other.
    """
    same = hashes[:-1] == hashes[1:]
    left = np.flatnonzero(same & (np.bitwise_count(hashes[:-1]) >= PLAIN_BITS))
    forest.join(left, left + 1)
    return np.append(~same, True)


def _join_near(hashes: np.ndarray, nodes: np.ndarray, forest: Forest, distance: int) -> None:
    values = hashes[nodes]
    edges = np.linspace(0, 64, distance + 3).round().astype(int)
    pairs = list(combinations(range(distance + 2), 2))
    window = max(8, COMPARISONS // len(pairs))
    for one, two in pairs:
        front = _front(values, edges, one, two)
        order = np.argsort(front, kind="stable")
        shift = np.uint64(64 - (edges[one + 1] - edges[one]) - (edges[two + 1] - edges[two]))
        bucket = (front >> shift)[order]
        places = np.arange(len(order))
        for step in range(1, window + 1):
            places = places[: np.searchsorted(places, len(order) - step)]
            places = places[bucket[places] == bucket[places + step]]
            if len(places) == 0:
                break
            a, b = order[places], order[places + step]
            close = np.bitwise_count(values[a] ^ values[b]) <= distance
            if close.any():
                _join_open(forest, nodes[a[close]], nodes[b[close]])


def _join_open(forest: Forest, left: np.ndarray, right: np.ndarray) -> None:
    """Join pairs, those that cannot be joined any more sorted out first by array arithmetic."""
    roots = forest.roots()
    a, b = roots[left], roots[right]
    possible = (a != b) & (forest.weight[a] + forest.weight[b] <= forest.limit)
    forest.join(left[possible], right[possible])


def _front(values: np.ndarray, edges: np.ndarray, one: int, two: int) -> np.ndarray:
    """The hashes with the bits of blocks `one` and `two` moved to the front.

    The other bits follow in their order.
    """
    cuts = [(edges[one], edges[one + 1]), (edges[two], edges[two + 1])]
    cuts += [(0, edges[one]), (edges[one + 1], edges[two]), (edges[two + 1], 64)]
    result = np.zeros_like(values)
    for low, high in cuts:
        if high > low:
            width = np.uint64(high - low)
            piece = values >> np.uint64(64 - high)
            if high - low < 64:
                piece = piece & ((np.uint64(1) << width) - np.uint64(1))
            result = (result << width) | piece if high - low < 64 else piece
    return result
