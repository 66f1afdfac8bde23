"""Bytes are cut alike, whatever pieces they come in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from boe_reconciler.core.blocks import Blocks


@given(st.lists(st.binary(max_size=30)), st.integers(1, 12))
def test_the_blocks_depend_on_the_bytes_alone(pieces: list[bytes], size: int) -> None:
    blocks = Blocks(size)
    found = [bytes(block) for piece in pieces for block in blocks.of(piece)]
    whole = b"".join(pieces)
    full = len(whole) // size * size
    assert found == [whole[at : at + size] for at in range(0, full, size)]
    assert blocks.rest() == whole[full:]
    assert blocks.rest() == b""
