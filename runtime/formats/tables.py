"""Tables of numbers with a column of targets: ``.csv``, ``.tsv`` and ``.parquet``."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...symbolic.errors import DataError, MissingExtraError

Array = NDArray[Any]
EXACT = 2**53  # up to here float64 holds every whole number


def load_csv(path: str | Path, target: str | int | None = None, header: bool | None = None) -> tuple[Array, Array]:
    """Inputs and targets from a file of numbers between commas, semicolons or tabs, all of it in memory.

    A column of targets of whole numbers gives integers; one of words gives labels, 0 for the first word of the
    alphabet.

    Parameters
    ----------
    target : the column of the targets, by its name in the header or its number (0 is the first); by default the last.
    header : whether the first line is one. By default it is where none of its cells is a number: a header of numbers,
        such as years, or of words and numbers, needs True, and a file of words alone False.

    Raises
    ------
    DataError
        If the file is missing, empty or no text, a line has another number of cells than the first, a cell of the
        inputs is no finite number (the message has the line and the column), or there is no such column.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            first = next((line for line in file if line.strip()), "")
            # Of equal counts not the comma, which may stand in numbers: 1,5;2.
            delimiter = max(";\t,", key=first.count)
            file.seek(0)
            rows = [(number, row) for number, row in _numbered(csv.reader(file, delimiter=delimiter)) if row]
    except FileNotFoundError as error:
        raise DataError(f"there is no data file {path}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no file of numbers between commas, in UTF-8 ({error})") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    if header is None:
        is_mixed = bool(rows) and any(map(_is_number, rows[0][1]))
        header = bool(rows) and not is_mixed
    else:
        is_mixed = False
    width = len(rows[0][1]) if rows else 0
    if width < 2 or len(rows) == header:
        raise DataError(f"{path} has {len(rows)} lines of {width} cells; expected inputs and, last, a target in each")
    found = [cell.strip() for cell in rows[0][1]]
    rows = rows[header:]
    for line, row in rows:
        if len(row) != width:
            raise DataError(f"{path}, line {line}: it has {len(row)} cells, the first line has {width}")
    names = found if header else [str(number) for number in range(width)]
    at = _column(names, target, header, str(path))
    if is_mixed and len(rows) > 1:
        _check_first(found, rows[1][1], at, path)
    columns: list[Any] = []
    for place, name in enumerate(names):
        cells = [row[place].strip() for _, row in rows]
        if place == at:
            words = not any(map(_is_number, cells))
            if words and "" in cells:
                raise DataError(f"{path}, line {rows[cells.index('')][0]}, column {name}: found an empty cell")
            columns.append(_labels(cells) if words else _numbers(cells, rows, name, path))
            is_whole = not words and all(cell.lstrip("+-").isdigit() for cell in cells)
            if is_whole and np.abs(columns[-1]).max() < EXACT:
                columns[-1] = columns[-1].astype(np.int64)
        else:
            columns.append(_numbers(cells, rows, name, path))
    y = columns.pop(at)
    return np.stack(columns, axis=1), y


def _check_first(first: Sequence[str], second: Sequence[str], at: int, path: Any) -> None:
    """
    Raises
    ------
    DataError
        If a word stands in the first line above a number, among the inputs: the line may be a header.
    """
    for place, (cell, below) in enumerate(zip(first, second, strict=False)):
        if place != at and cell and not _is_number(cell) and _is_number(below):
            raise DataError(
                f"{path}, line 1: found {cell!r} above a number; if the line is a header, say so: header=True"
            )


def _numbered(reader: Any) -> Any:
    for row in reader:
        yield reader.line_num, row


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _numbers(cells: list[str], rows: Sequence[Any], name: str, path: Any) -> Array:
    try:
        made = np.array(cells, np.float64)
    except ValueError:
        at = next(place for place, cell in enumerate(cells) if not _is_number(cell))
        found = repr(cells[at]) if cells[at] else "an empty cell"
        raise DataError(f"{path}, line {rows[at][0]}, column {name}: found {found}, expected a number") from None
    if not np.isfinite(made).all():
        at = int(np.flatnonzero(~np.isfinite(made))[0])
        raise DataError(f"{path}, line {rows[at][0]}, column {name}: found {cells[at]}, expected a finite number")
    return made


def _labels(words: Sequence[Any]) -> Array:
    return np.unique(np.asarray(words, dtype=str), return_inverse=True)[1].astype(np.int64)


def _column(names: Sequence[str], target: str | int | None, has_names: bool, path: str) -> int:
    """The number of the column of the targets."""
    if target is None:
        return len(names) - 1
    if isinstance(target, str) and names.count(target) > 1:
        raise DataError(f"{path} has {names.count(target)} columns {target!r}; give the number of one, 0 for the first")
    if isinstance(target, str) and target in names:
        return list(names).index(target)
    if isinstance(target, str) and target.isdecimal():  # of a path, as in iris.csv:4
        target = int(target)
    if isinstance(target, int) and not isinstance(target, bool) and -len(names) <= target < len(names):
        return target % len(names)
    shown = ", ".join(names) if has_names else f"numbers, from 0 to {len(names) - 1}"
    raise DataError(f"{path} has no column {target!r}; its columns are {shown}")


def load_parquet(path: str | Path, target: str | int | None = None) -> tuple[Array, Array]:
    """Inputs and targets from a Parquet file, of columns as `load_csv` reads them; all of it in memory.

    Categories (columns with a dictionary) are what they stand for: words of a target give labels, 0 for the first word
    of the alphabet, whatever their codes are in the file.

    Raises
    ------
    MissingExtraError
        If the package pyarrow is not installed.
    DataError
        If the file is missing or damaged, a column of the inputs holds no numbers, a number is missing or not finite
        (the message has the row, 0 the first, and the column), or there is no such column.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError('Parquet files need the package pyarrow: pip install "gradloom[parquet]"') from None
    try:
        table = pyarrow.parquet.read_table(path)
    except FileNotFoundError as error:
        raise DataError(f"there is no data file {path}") from error
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} is not a Parquet file, or is damaged ({reason})") from error
    names = table.column_names
    if len(names) < 2 or not len(table):
        raise DataError(f"{path} has {len(table)} rows of {len(names)} columns; expected inputs and a target")
    at = _column(names, target, True, str(path))
    columns = []
    for place, name in enumerate(names):
        column, kind = table.column(place), table.schema.field(place).type
        if column.null_count:
            row = column.is_null().to_pylist().index(True)
            raise DataError(f"{path}, row {row}, column {name}: there is no value; fill it in, or leave the row out")
        if pyarrow.types.is_dictionary(kind):  # of categories, as pandas writes them
            kind = kind.value_type
            column = column.cast(kind)
        is_text = pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)
        if is_text and place != at:
            raise DataError(
                f"{path}, column {name}: it holds words, expected numbers; give each word a column of 0 and 1, or "
                "leave it out"
            )
        if is_text:
            columns.append(_labels(column.to_pylist()))
            continue
        is_number = pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind) or pyarrow.types.is_boolean(kind)
        if not is_number:
            raise DataError(f"{path}, column {name}: it holds {kind}, expected numbers; leave it out")
        array = column.to_numpy()
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            row = int(np.flatnonzero(~np.isfinite(array))[0])
            raise DataError(f"{path}, row {row}, column {name}: found {array[row]}, expected a finite number")
        is_whole = array.dtype.kind in "ib" or (array.dtype.kind == "u" and int(array.max()) < 2**63)
        columns.append(array.astype(np.int64) if place == at and is_whole else array)
    y = columns.pop(at)
    return np.stack([column.astype(np.float64) for column in columns], axis=1), y
