"""Sequences whose items are read when asked for."""

import abc
from collections.abc import Sequence
from typing import TypeVar, overload

T_co = TypeVar("T_co", covariant=True)


class LazySequence(Sequence[T_co], abc.ABC):
    """A sequence that holds none of its items. Iterating over it may be quicker than asking for one after the other."""

    @abc.abstractmethod
    def _at(self, index: int) -> T_co:
        """Reads the item at an index from 0 to below the length."""

    @overload
    def __getitem__(self, index: int) -> T_co: ...
    @overload
    def __getitem__(self, index: slice) -> list[T_co]: ...
    def __getitem__(self, index: int | slice) -> T_co | list[T_co]:
        """Reads one item, or a list of them."""
        places = range(len(self))
        return [self._at(place) for place in places[index]] if isinstance(index, slice) else self._at(places[index])
