"""A cache that grows in place holds what transformers' own holds."""

from __future__ import annotations

import pytest
import torch
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from unlearnkit.evaluating.cache import ROOM, RoomyLayer, with_room


def tokens(rows: int, many: int) -> torch.Tensor:
    return torch.randn(rows, 2, many, 4)


@pytest.mark.parametrize("steps", [[1, 1, 1], [3, 1, 5, 2], [ROOM + 7, 1, 1], [1] * (ROOM + 3)])
def test_it_is_what_copying_gives(steps: list[int]):
    torch.manual_seed(0)
    plain = DynamicLayer()
    plain.update(tokens(6, 5), tokens(6, 5))
    own = RoomyLayer(plain.keys.clone(), plain.values.clone())  # type: ignore[union-attr]
    rows = 6
    for turn, many in enumerate(steps):
        keys, values = tokens(rows, many), tokens(rows, many)
        for a, b in zip(own.update(keys, values), plain.update(keys, values), strict=True):
            assert torch.equal(a, b)
        if turn in (0, 2):
            keep = torch.tensor([0, *range(2, rows)])
            own.batch_select_indices(keep)
            plain.batch_select_indices(keep)
            rows -= 1
        assert torch.equal(own.keys, plain.keys) and torch.equal(own.values, plain.values)  # type: ignore[arg-type]
        assert own.get_seq_length() == plain.get_seq_length() and own.get_mask_sizes(1) == plain.get_mask_sizes(1)


def test_rows_may_change_places():
    layer = RoomyLayer(keys := tokens(4, 3), values := tokens(4, 3))
    order = torch.tensor([3, 0, 2])
    wanted = keys[order].clone(), values[order].clone()
    layer.batch_select_indices(order)
    assert torch.equal(layer.keys, wanted[0]) and torch.equal(layer.values, wanted[1])  # type: ignore[arg-type]


def test_what_is_there_stays_where_it_is():
    layer = RoomyLayer(tokens(3, 5), tokens(3, 5))
    layer.update(tokens(3, 1), tokens(3, 1))
    places = set()
    for _ in range(ROOM):
        keys, _ = layer.update(tokens(3, 1), tokens(3, 1))
        places.add(keys.data_ptr())
    assert len(places) == 1
    layer.update(tokens(3, 1), tokens(3, 1))
    assert layer.keys.data_ptr() not in places  # type: ignore[union-attr]


def test_only_plain_layers_are_replaced():
    cache = DynamicCache()
    cache.update(tokens(2, 3), tokens(2, 3), 0)
    cache.layers += [DynamicSlidingWindowLayer(sliding_window=8), DynamicLayer()]
    assert with_room(cache) is cache
    assert [type(layer) for layer in cache.layers] == [RoomyLayer, DynamicSlidingWindowLayer, DynamicLayer]
    assert with_room(None) is None
