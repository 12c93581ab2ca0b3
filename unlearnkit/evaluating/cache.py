"""A cache of keys and values that has room for those to come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers.cache_utils import DynamicLayer

if TYPE_CHECKING:
    from torch import Tensor

ROOM = 64
"""Tokens for which room is made at a time."""


class RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """What transformers' own layer holds, of which `keys` and `values` are views: a token is written behind those
    before it, which that layer copies for each. Rows that end make room for no others."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.lazy_initialization(keys, values)
        self._held = [keys, values]
        self._show(keys.shape[-2])

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Keys and values with some tokens' more, [B, H, T, D] each."""
        del args, kwargs
        before = self.get_seq_length()
        after = before + key_states.shape[-2]
        for i, new in enumerate((key_states, value_states)):
            if after > self._held[i].shape[-2]:
                self._held[i] = _longer(self._held[i][..., :before, :], after + ROOM)
            self._held[i][..., before:after, :] = new
        return self._show(after)

    def batch_select_indices(self, indices: Tensor) -> None:
        """Only keep some rows."""
        shown = self.get_seq_length()
        for i, held in enumerate(self._held):
            kept = held[: len(indices)]
            kept[..., :shown, :] = held[indices, :, :shown]
            self._held[i] = kept
        self._show(shown)

    def _show(self, tokens: int) -> tuple[Tensor, Tensor]:
        self.keys, self.values = (held[..., :tokens, :] for held in self._held)
        return self.keys, self.values


def _longer(of: Tensor, tokens: int) -> Tensor:
    found = of.new_empty(*of.shape[:-2], tokens, of.shape[-1])
    found[..., : of.shape[-2], :] = of
    return found


def with_room(cache: Any) -> Any:
    """A model's cache, of which plain layers grow in place from here on; those of another kind stay as they are."""
    for number, layer in enumerate(getattr(cache, "layers", ())):
        if type(layer) is DynamicLayer and layer.get_seq_length():
            cache.layers[number] = RoomyLayer(layer.keys, layer.values)
    return cache
