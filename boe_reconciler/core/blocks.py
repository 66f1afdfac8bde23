"""Bytes in blocks of one size.

igzip packs what one call gives it: so the same bytes give the same packed ones only where
they come in the same blocks, however their source cuts them.
"""

from __future__ import annotations

from collections.abc import Iterator

SIZE = 1 << 18


class Blocks:
    """Cuts bytes that come in pieces of any size."""

    def __init__(self, size: int = SIZE) -> None:
        self._size = size
        self._rest = bytearray()

    def of(self, piece: bytes | memoryview) -> Iterator[bytes | memoryview]:
        """The blocks that are full now; ask for all of them before the next piece."""
        view = memoryview(piece).cast("B")
        if self._rest:
            missing = self._size - len(self._rest)
            self._rest += view[:missing]
            view = view[missing:]
            if len(self._rest) < self._size:
                return
            yield self.rest()
        full = len(view) // self._size * self._size
        for start in range(0, full, self._size):
            yield view[start : start + self._size]
        self._rest += view[full:]

    def rest(self) -> bytes:
        """What fills no block; it is taken out."""
        rest = bytes(self._rest)
        self._rest.clear()
        return rest
