"""nodes.csv: a list of boards as spreadsheets write it -> rows, and everything that is wrong with it by line. No I/O here."""

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from bootpilot_server.deciding.announced import Announced, plain_value
from bootpilot_server.deciding.naming import check_label, parse_labels, plain_address, plain_name

MAX_LIST_BYTES = 32 << 20
MAX_FAULTS = 100
COLUMNS = ("serial", "mac", "card", "name", "rack", "slot", "labels", "static_address", "profile")
# Columns that are labels of their own.
LABEL_COLUMNS = ("rack", "slot")
DELIMITERS = ",;\t"


@dataclass(frozen=True)
class ListedNode:
    """One line: by what the board is known (one key at least), and what is said of it; "" where nothing is."""

    line: int
    keys: tuple[tuple[Announced, str], ...]
    name: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    static_address: str = ""
    profile: str = ""


@dataclass(frozen=True, order=True)
class ListFault:
    """One thing that is wrong, with its line in the file."""

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


def read_node_list(raw: bytes) -> tuple[list[ListedNode], list[ListFault]]:
    """Use the rows only if nothing is wrong."""
    if len(raw) > MAX_LIST_BYTES:
        return [], [ListFault(1, f"{len(raw)} bytes; a list has {MAX_LIST_BYTES} at most")]
    try:
        text = _decode(raw)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        return [], [ListFault(line, 'this is not UTF-8; spreadsheets offer it as "CSV UTF-8"')]
    faults: list[ListFault] = []
    rows = [row for number, cells in _table(text, faults) if (row := _read_row(number, cells, faults))]
    faults += _duplicates(rows)
    if not rows and not faults:
        faults.append(ListFault(1, "no board stands here"))
    return rows, sorted(set(faults))


def _decode(raw: bytes) -> str:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16")
    return raw.decode("utf-8-sig")


def _table(text: str, faults: list[ListFault]) -> Iterator[tuple[int, dict[str, str]]]:
    """Lines as cells by column."""
    first = text.split("\n", 1)[0]
    delimiter = max(DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns: list[str] = []
    try:
        for cells in reader:
            plain = [cell.strip() for cell in cells]
            if not any(plain):
                continue
            if not columns:
                columns = [cell.lower().replace(" ", "_") for cell in plain]
                if not _are_columns(columns, reader.line_num, faults):
                    return
            elif len(plain) > len(columns) and any(plain[len(columns) :]):
                faults.append(ListFault(reader.line_num, f"{len(plain)} cells, and {len(columns)} columns are named"))
            else:
                yield reader.line_num, dict(zip(columns, plain, strict=False))
    except csv.Error as error:
        faults.append(ListFault(reader.line_num, f"this is no CSV: {error}"))


def _are_columns(columns: list[str], line: int, faults: list[ListFault]) -> bool:
    known = f"columns are {', '.join(COLUMNS)}"
    wrong = [ListFault(line, f"unknown column {name!r}; {known}") for name in columns if name not in COLUMNS]
    wrong += [ListFault(line, f"column {name} stands there twice") for name in set(columns) if columns.count(name) > 1]
    if not set(columns) & {kind.value for kind in Announced}:
        wrong.append(ListFault(line, "the first line names no column serial, mac or card, by one of which boards are known"))
    faults += wrong
    return not wrong


def _read_row(line: int, cells: dict[str, str], faults: list[ListFault]) -> ListedNode | None:
    before = len(faults)

    def read(column: str, check: Callable[[str], str]) -> str:
        try:
            return check(cells[column]) if cells.get(column) else ""
        except ValueError as error:
            faults.append(ListFault(line, f"{column} {cells[column][:80]!r}: {error}"))
            return ""

    keys = [(kind, value) for kind in Announced if (value := read(kind.value, lambda text, kind=kind: plain_value(kind, text)))]  # type: ignore[misc]
    name, address = read("name", plain_name), read("static_address", plain_address)
    labels = _read_labels(line, cells, faults)
    if len(faults) == before and not keys:
        faults.append(ListFault(line, "neither serial, mac nor card: nothing says which board this is"))
    return ListedNode(line, tuple(keys), name, labels, address, cells.get("profile", "")) if len(faults) == before else None


def _read_labels(line: int, cells: dict[str, str], faults: list[ListFault]) -> dict[str, str]:
    try:
        labels = parse_labels(cells.get("labels", ""))
        for column in LABEL_COLUMNS:
            if value := cells.get(column, ""):
                check_label(column, value)
                if column in labels:
                    raise ValueError(f"{column} stands among the labels and in a column of its own")
                labels[column] = value
    except ValueError as error:
        faults.append(ListFault(line, f"labels: {error}"))
        return {}
    return labels


def _duplicates(rows: list[ListedNode]) -> list[ListFault]:
    faults, seen = [], dict[tuple[str, str], int]()
    for row in rows:
        said: list[tuple[str, str]] = [(kind.value, value) for kind, value in row.keys]
        said += [("name", row.name)] if row.name else []
        # Two prefix lengths do not make two addresses.
        said += [("static_address", row.static_address.partition("/")[0])] if row.static_address else []
        if "rack" in row.labels and "slot" in row.labels:
            said.append(("place", f"rack {row.labels['rack']}, slot {row.labels['slot']}"))
        for key in said:
            if key in seen:
                faults.append(ListFault(row.line, f"{key[0]} {key[1]} stands on line {seen[key]} too"))
            seen.setdefault(key, row.line)
    return faults
