"""What vectors need in PostgreSQL: whole pages for rows and for elements of the index, and memory to build that."""

from __future__ import annotations

from compbench.systems.api import Needs

# A page, and its header with what lies at its end (PostgreSQL 18, "Database Page Layout"; pgvector's `hnsw.h`).
_PAGE_BYTES, _PAGE_OVERHEAD_BYTES = 8192, 40
# A row besides its numbers: item, header, id, the vector's own header.
_ROW_BYTES = 4 + 24 + 8 + 8
# An element of the index: items, headers, places of its row; and a place for each link of the lowest layer.
_ELEMENT_BYTES, _LINK_BYTES = 120, 6
# Measured: 22 bytes for a row in the index of the key; a new data folder; the log that is kept (`max_wal_size`).
_KEY_BYTES, _FOLDER_BYTES, _MOST_LOG_BYTES = 22, 40_000_000, 1_074_000_000
# Measured: what the server has in memory with 64 connections, besides the pages of the data.
_SERVER_BYTES = 320_000_000
# Of an element while the index is built, besides its vector and links: pointers, layers above, allocation.
_BUILD_BYTES_A_LINK, _BUILD_BYTES_AN_ELEMENT = 40, 300
# Measured with 50,000 vectors of 768 dimensions, copied and indexed: 36.7 s of a core. 10,000 went 1.7 times as fast
# each, so larger sets go slower.
_ADDED_A_CORE_S = 1360.0


def vectors_need(count: int, dimension: int, m: int) -> Needs:
    """Return the needs of so many vectors."""
    rows = count * _share_of_page(_ROW_BYTES + 4 * dimension)
    elements = count * _share_of_page(_ELEMENT_BYTES + 2 * m * _LINK_BYTES + 4 * dimension)
    data = rows + elements + count * _KEY_BYTES
    graph = build_bytes(count, dimension, m)
    return Needs(
        memory_bytes=data + graph + _SERVER_BYTES,
        disk_bytes=data + min(2 * data, _MOST_LOG_BYTES) + _FOLDER_BYTES,
        added_a_core_s=_ADDED_A_CORE_S,
        explanation=(
            f"pages of table and index {data / 1e9:.2f} GB, the graph while it is built {graph / 1e9:.2f} GB,"
            f" the server with 64 connections {_SERVER_BYTES / 1e9:.2f} GB"
        ),
    )


def build_bytes(count: int, dimension: int, m: int) -> int:
    """Return how much memory the graph of so many vectors takes while it is built."""
    return count * (4 * dimension + 2 * m * _BUILD_BYTES_A_LINK + _BUILD_BYTES_AN_ELEMENT)


def _share_of_page(item_bytes: int) -> int:
    """Return the bytes that an item takes, given that a page has whole ones only."""
    return _PAGE_BYTES // max(1, (_PAGE_BYTES - _PAGE_OVERHEAD_BYTES) // item_bytes)
