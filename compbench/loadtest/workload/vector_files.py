"""Tables of numbers in the files of known vector sets, each read by parts: never a whole file in memory.

The formats, by the endings of their names:

- `.hdf5`, `.h5`: ann-benchmarks (erikbern/ann-benchmarks, `ann_benchmarks/datasets.py`) and VIBE
  (vector-index-bench/vibe, `vibe/datasets.py`): datasets `train`, `test`, `neighbors`; attribute `distance`.
- `.fbin`, `.u8bin`, `.i8bin`: big-ann-benchmarks: the numbers of rows and columns as 32 bit integers, then the rows.
  `.ibin`, `.bin`: its ground truth, likewise; the ids of all queries may be followed by the distances of all.
- `.fvecs`, `.bvecs`, `.ivecs`: TEXMEX (corpus-texmex.irisa.fr): before each row the number of columns in 32 bits.
- `.npy`: NumPy's own, two dimensions.
- `.parquet`: VectorDBBench (zilliztech/VectorDBBench, `vectordb_bench/backend/dataset.py`): a row an entry, `emb` or
  `neighbors_id` a list, `id` the number that neighbours are named by.

All are little-endian. Knows nothing of scenarios.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from compbench.model.errors import UserError

Content = Literal["rows", "queries", "neighbours"]
Numbers = NDArray[Any]
Identifiers = NDArray[np.int64]

_HDF5 = (".hdf5", ".h5")
_BIG_ANN = {".fbin": "<f4", ".u8bin": "u1", ".i8bin": "i1", ".ibin": "<i4", ".bin": "<i4"}
# Vectors come under these names too, of whatever numbers: what they are can't be told from the file.
_IDS_ALONE = (".ibin", ".bin")
_TEXMEX = {".fvecs": "<f4", ".bvecs": "u1", ".ivecs": "<i4"}
ENDINGS = (*_HDF5, *_BIG_ANN, *_TEXMEX, ".npy", ".parquet")
# Rows of Parquet: 25 MB at 768 dimensions.
_DECODED_AT_ONCE = 8192
# A neighbour that is not there, in formats whose lists have one length.
NO_NEIGHBOUR = -1
_DATASETS: dict[Content, str] = {"rows": "train", "queries": "test", "neighbours": "neighbors"}
_COLUMNS: dict[Content, str] = {"rows": "emb", "queries": "emb", "neighbours": "neighbors_id"}


class NumberTable(Protocol):
    """A table of `count` rows and `dimension` columns, of any numbers, in a file `path`."""

    path: Path
    count: int
    dimension: int

    def read(self, begin: int, end: int) -> Numbers:
        """Return the rows from `begin` to before `end`, shape (end - begin, dimension), as they are in the file.

        Raises:
            UserError: the rows have different lengths, or the file is damaged.
        """

    def identifiers(self) -> Identifiers | None:
        """Return the number that each row is named by, shape (count,); None if that is its place."""


def open_table(path: Path, content: Content) -> NumberTable:
    """Open a file by the ending of its name.

    Raises:
        UserError: it can't be read, has another format than its name says, or a package that reads it is missing.
    """
    ending = path.suffix.lower()
    try:
        if ending in _HDF5:
            return _Hdf5Table(path, _DATASETS[content])
        if ending in _IDS_ALONE and content != "neighbours":
            raise UserError(_unclear(path, content))
        if ending in _BIG_ANN:
            return _MappedTable(path, _big_ann(path, _BIG_ANN[ending], content))
        if ending in _TEXMEX:
            return _TexmexTable(path, _TEXMEX[ending])
        if ending == ".npy":
            return _MappedTable(path, np.load(path, mmap_mode="r", allow_pickle=False))
        if ending == ".parquet":
            return _ParquetTable(path, _COLUMNS[content])
    except (OSError, ValueError, EOFError, NotImplementedError) as error:
        raise UserError(f"{path}: can't be read as {ending}: {error}") from None
    raise UserError(f"{path}: unknown ending {ending!r}: known are {', '.join(ENDINGS)}")


def open_parts(paths: Sequence[Path], content: Content) -> NumberTable:
    """Open the parts of one table, in their order.

    Raises:
        UserError: one of them can't be opened, or has another number of columns than the first.
    """
    parts = [open_table(path, content) for path in paths]
    return parts[0] if len(parts) == 1 else _JoinedTable(parts)


def has_content(path: Path, content: Content) -> bool:
    """Tell whether a file that may hold several tables, an HDF5 file, holds this one too.

    Raises:
        UserError: it can't be read.
    """
    if path.suffix.lower() not in _HDF5:
        return False
    with _hdf5_file(path) as file:
        return _DATASETS[content] in file


def told_distance(path: Path) -> str | None:
    """Return the name of the distance that the file itself tells, None if its format tells none.

    Raises:
        UserError: it can't be read.
    """
    if path.suffix.lower() not in _HDF5:
        return None
    with _hdf5_file(path) as file:
        told = file.attrs.get("distance")
    return told.decode() if isinstance(told, bytes) else None if told is None else str(told)


class _MappedTable:
    """A table that is mapped into memory: the system reads and forgets its pages."""

    def __init__(self, path: Path, numbers: Numbers) -> None:
        self.path, self._numbers = path, numbers
        self.count, self.dimension = _shape_in(path, numbers)

    def read(self, begin: int, end: int) -> Numbers:
        return np.asarray(self._numbers[begin:end])

    def identifiers(self) -> Identifiers | None:
        return None


class _TexmexTable:
    """Rows that are each preceded by their length."""

    def __init__(self, path: Path, kind: str) -> None:
        self.path, size = path, path.stat().st_size
        first = np.fromfile(path, "<i4", 1)
        self.dimension = int(first[0]) if len(first) else 0
        row = np.dtype([("length", "<i4"), ("numbers", kind, (max(1, self.dimension),))])
        self.count, rest = divmod(size, row.itemsize)
        if self.dimension < 1 or rest:
            raise UserError(
                f"{path}: {size} bytes are no whole number of rows of {self.dimension} numbers, the length that its"
                " first row has: it is cut short or no such file"
            )
        self._rows = np.memmap(path, row, "r", shape=(self.count,))

    def read(self, begin: int, end: int) -> Numbers:
        rows = self._rows[begin:end]
        if len(odd := np.flatnonzero(rows["length"] != self.dimension)):
            raise UserError(_uneven(self.path, begin + int(odd[0]), self.dimension))
        return np.asarray(rows["numbers"])

    def identifiers(self) -> Identifiers | None:
        return None


class _Hdf5Table:
    """A dataset of an HDF5 file."""

    def __init__(self, path: Path, name: str) -> None:
        file = _hdf5_file(path)
        if name not in file:
            raise UserError(f"{path}: has no dataset {name!r}, only {', '.join(sorted(file)) or 'none'}")
        self.path, self._numbers = path, file[name]
        if not hasattr(self._numbers, "shape"):
            raise UserError(f"{path}: {name!r} is a group, no dataset")
        self.count, self.dimension = _shape_in(path, self._numbers, name)

    def read(self, begin: int, end: int) -> Numbers:
        try:
            return np.asarray(self._numbers[begin:end])
        except OSError as error:
            raise UserError(f"{self.path}: damaged: {error}") from None

    def identifiers(self) -> Identifiers | None:
        return None


class _ParquetTable:
    """A column of lists, decoded in order from the begin of a row group on; reading backwards begins the group anew.

    A row group may be as large as the file, so the rows that were decoded last are kept, no whole group.
    """

    def __init__(self, path: Path, column: str) -> None:
        self.path, self._file = path, _package("pyarrow.parquet", path).ParquetFile(path, memory_map=True)
        self._column = self._list_column(column)
        footer = self._file.metadata
        groups = [footer.row_group(number).num_rows for number in range(footer.num_row_groups)]
        self._begins = [0, *np.cumsum(groups).tolist()]
        self.count = footer.num_rows
        if not self.count:
            raise UserError(f"{path}: has no rows")
        self._batches: Iterator[Any] = iter(())
        self._first, self._rows = 0, np.empty((0, 0))
        first = next(self._file.iter_batches(1, columns=[self._column])).column(0)
        # Lists of neighbours may be shorter than the first; rows and queries may not.
        self._is_ragged = column == _COLUMNS["neighbours"]
        self.dimension = self._longest() if self._is_ragged else len(first[0].as_py() or ())
        if not self.dimension:
            raise UserError(f"{path}: row 0 of column {self._column!r} is empty")

    def read(self, begin: int, end: int) -> Numbers:
        pieces = []
        while begin < min(end, self.count):
            self._go_to(begin)
            pieces.append(self._rows[begin - self._first : end - self._first])
            begin += len(pieces[-1])
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def identifiers(self) -> Identifiers | None:
        if "id" not in self._file.schema_arrow.names:
            return None
        numbers: Numbers = self._file.read(columns=["id"]).column(0).to_numpy()
        if numbers.dtype.kind not in "iu":
            raise UserError(f"{self.path}: column 'id' has no whole numbers, by which neighbours could be named")
        return numbers.astype(np.int64)

    def _list_column(self, wanted: str) -> str:
        """Return the column of that name, or else the only one of lists."""
        lists: list[str] = [
            f.name for f in self._file.schema_arrow if str(f.type).startswith(("list", "large_list", "fixed_"))
        ]
        if wanted in lists:
            return wanted
        if len(lists) != 1:
            names = ", ".join(self._file.schema_arrow.names)
            raise UserError(f"{self.path}: no column {wanted!r} of lists of numbers among {names}: rename yours so")
        return lists[0]

    def _longest(self) -> int:
        import pyarrow.compute as pc  # noqa: PLC0415 - there, since the file is open

        lengths = [pc.list_value_length(batch.column(0)) for batch in self._file.iter_batches(columns=[self._column])]
        return max(pc.max(each).as_py() or 0 for each in lengths)

    def _go_to(self, row: int) -> None:
        """Decode until the rows at hand have this one."""
        following = self._first + len(self._rows)
        group = bisect.bisect_right(self._begins, row) - 1
        if row < self._first or self._begins[group] > following or not len(self._rows):
            groups = list(range(group, len(self._begins) - 1))
            self._batches = self._file.iter_batches(_DECODED_AT_ONCE, groups, [self._column])
            self._first, self._rows = self._begins[group], self._rows[:0]
        while row >= self._first + len(self._rows):
            self._first += len(self._rows)
            try:
                self._rows = self._decoded(next(self._batches).column(0))
            except (
                OSError,
                ValueError,
                NotImplementedError,
                StopIteration,
            ) as error:  # Arrow's own errors are among these
                raise UserError(f"{self.path}: damaged: {error}") from None

    def _decoded(self, column: Any) -> Numbers:
        import pyarrow as pa  # noqa: PLC0415 - there, since the file is open
        import pyarrow.compute as pc  # noqa: PLC0415 - see line above

        flat = column.flatten()
        lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
        wrong = lengths > self.dimension if self._is_ragged else lengths != self.dimension
        if len(odd := np.flatnonzero(wrong)):
            raise UserError(_uneven(self.path, self._first + int(odd[0]), self.dimension))
        if flat.null_count or flat.type not in _number_types(pa):
            raise UserError(f"{self.path}: column {self._column!r} has values that are no numbers ({flat.type})")
        numbers: Numbers = flat.to_numpy(zero_copy_only=False)
        return _padded(numbers, lengths, self.dimension)


class _JoinedTable:
    """Tables of equally many columns, one behind the other."""

    def __init__(self, parts: Sequence[NumberTable]) -> None:
        self._parts, first = parts, parts[0]
        self.path, self.dimension = first.path, first.dimension
        for part in parts:
            if part.dimension != self.dimension:
                raise UserError(
                    f"{part.path}: has {part.dimension} numbers a row, {first.path.name} has {self.dimension}: give the"
                    " files of one set"
                )
        self._begins = [0, *np.cumsum([part.count for part in parts]).tolist()]
        self.count = self._begins[-1]

    def read(self, begin: int, end: int) -> Numbers:
        pieces = list(self._pieces(begin, min(end, self.count)))
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def identifiers(self) -> Identifiers | None:
        found = [part.identifiers() for part in self._parts]
        return None if any(each is None for each in found) else np.concatenate([e for e in found if e is not None])

    def _pieces(self, begin: int, end: int) -> Iterator[Numbers]:
        for part, first in zip(self._parts, self._begins, strict=False):
            low, high = max(begin, first), min(end, first + part.count)
            if low < high:
                yield part.read(low - first, high - first)


def _big_ann(path: Path, kind: str, content: Content) -> Numbers:
    """Map a file of big-ann-benchmarks; of ground truth the ids only, which precede the distances."""
    header, size = np.fromfile(path, "<u4", 2), path.stat().st_size
    shape = (int(header[0]), int(header[1])) if len(header) == 2 else (0, 0)  # noqa: PLR2004 - rows and columns
    wanted = 8 + shape[0] * shape[1] * np.dtype(kind).itemsize
    with_distances = 8 + shape[0] * shape[1] * 8
    is_whole = size == wanted or (content == "neighbours" and size == with_distances)
    if not is_whole or not shape[0] * shape[1]:
        raise UserError(
            f"{path}: has {size} bytes where its head, {shape[0]} rows of {shape[1]} numbers, takes {wanted}: it is"
            " cut short, or of another format"
        )
    return np.memmap(path, kind, "r", offset=8, shape=shape)


def _hdf5_file(path: Path) -> Any:
    """Open a file that is only read; without a lock, which file systems of a network may refuse."""
    try:
        return _package("h5py", path).File(path, "r", locking=False)
    except OSError as error:
        raise UserError(f"{path}: can't be read as HDF5: {error}") from None


def _package(name: str, path: Path) -> ModuleType:
    package = name.partition(".")[0]
    try:
        return __import__(name, fromlist=["any"])
    except ModuleNotFoundError:
        raise UserError(
            f"{path}: files of this kind are read by {package}, which is not installed:"
            f" `python -m pip install {package}`, or in a checkout `python -m pip install '.[sets]'`"
        ) from None


def _shape_in(path: Path, numbers: Any, name: str = "") -> tuple[int, int]:
    """Return rows and columns of an array or dataset.

    Raises:
        UserError: it has another number of dimensions, none of them, or no numbers.
    """
    what = f"{path}: {name + ' ' if name else ''}has"
    if len(numbers.shape) != 2:  # noqa: PLR2004 - rows and columns
        raise UserError(f"{what} shape {numbers.shape}: vectors are a table of rows and columns")
    if numbers.dtype.kind not in "fiu":
        raise UserError(f"{what} values of type {numbers.dtype}: only integers and real numbers are taken")
    if not numbers.shape[0] * numbers.shape[1]:
        raise UserError(f"{what} no rows")
    return int(numbers.shape[0]), int(numbers.shape[1])


def _padded(numbers: Numbers, lengths: Numbers, width: int) -> Numbers:
    """Return rows of these lengths as a table; what is missing at a row's end becomes -1."""
    if len(numbers) == len(lengths) * width:
        return numbers.reshape(-1, width)
    table = np.full((len(lengths), width), NO_NEIGHBOUR, numbers.dtype)
    table[np.arange(width) < lengths[:, None]] = numbers
    return table


def _number_types(pa: ModuleType) -> tuple[Any, ...]:
    whole = (getattr(pa, f"{sign}int{bits}")() for sign in ("", "u") for bits in (8, 16, 32, 64))
    return (pa.float16(), pa.float32(), pa.float64(), *whole)


def _unclear(path: Path, content: Content) -> str:
    return (
        f"{path}: {path.suffix} is read as neighbours, not as {content}: rename it .fbin if its numbers are float32,"
        " .u8bin or .i8bin if they are bytes without or with a sign"
    )


def _uneven(path: Path, row: int, dimension: int) -> str:
    return f"{path}: row {row} has another length than the first ({dimension}): all must have one"
