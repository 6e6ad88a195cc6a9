"""Reads what formats wrote, with readers that others wrote, and says what it verified."""

import csv
import datetime
import decimal
import json
import re
import sys

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

TYPES = {
    "STRING": pa.string(), "LINK": pa.string(), "IMAGE": pa.string(), "CLASSIFICATION": pa.string(),
    "OBJECT": pa.string(), "ARRAY": pa.string(), "NUMBER": pa.float64(), "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(), "DATETIME": pa.timestamp("us", tz="UTC"), "MONEY": pa.decimal128(38, 9),
}


def fields(folder):
    with open(folder + "/schema.json", encoding="utf-8") as f:
        return [x for x in json.load(f)["fields"] if not x["name"].startswith("_")]


def same(kind, value, source):
    """Whether a value of Parquet is what the source's JSON value stands for."""
    if source is None:
        return value is None
    if kind in ("STRING", "LINK", "IMAGE", "CLASSIFICATION"):
        return value == source if isinstance(source, str) else value is not None
    if kind in ("OBJECT", "ARRAY"):
        return json.loads(value, parse_float=decimal.Decimal) == source
    if kind == "NUMBER":
        return value is None and isinstance(source, str) or value == float(source)
    if kind == "BOOLEAN":
        return value == (source if isinstance(source, bool) else source.strip().lower() == "true")
    if kind == "MONEY" and isinstance(source, dict):
        return value * 100 == source["amount"]  # all of them are of currencies with two decimals
    if kind == "MONEY":
        return value == decimal.Decimal(str(source).strip())
    if kind == "DATETIME":
        return value == datetime.datetime.fromisoformat(source)
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", source):
        return value == datetime.date.fromisoformat(source)
    if re.fullmatch(r"\d+/\d+/\d+", source):
        return value is None  # never guessed
    return value == datetime.datetime.strptime(source, "%b %d %Y").date()


def text(value, cell, kind):
    """Whether a cell of CSV stands for a value of Parquet."""
    if value is None:
        return cell == ""
    if kind == "BOOLEAN":
        return cell == str(value).lower()
    if kind == "NUMBER":
        return float(cell) == value
    if kind == "MONEY":
        return decimal.Decimal(cell) == value
    if kind == "DATE":
        return datetime.date.fromisoformat(cell) == value
    if kind == "DATETIME":
        return datetime.datetime.fromisoformat(cell) == value
    return cell == value


def values(folder):
    described = fields(folder)
    table = pq.read_table(folder + "/data.parquet")
    columns = {}  # name: kind, of Parquet and CSV
    for f in described:
        columns[f["name"]] = f["dataType"]
        if f["dataType"] == "MONEY":
            columns[f["name"] + "_currency"] = "STRING"
    assert table.column_names == list(columns), table.column_names
    for name, kind in columns.items():
        assert table.schema.field(name).type == TYPES[kind], (name, table.schema.field(name))
    rows = table.to_pylist()
    with open(folder + "/data.jsonl", encoding="utf-8", newline="\n") as f:
        sources = [json.loads(line, parse_float=decimal.Decimal) for line in f]
    csv.field_size_limit(1 << 30)
    with open(folder + "/data.csv", encoding="utf-8", newline="") as f:
        cells = list(csv.reader(f, strict=True))
    assert cells[0] == list(columns), cells[0]
    assert len(rows) == len(sources) == len(cells) - 1, (len(rows), len(sources), len(cells))
    nulls = 0
    for row, source, line in zip(rows, sources, cells[1:]):
        for f in described:
            name = f["name"]
            assert same(f["dataType"], row[name], source.get(name)), (name, row[name], source.get(name))
        for (name, kind), cell in zip(columns.items(), line):
            assert text(row[name], cell, kind), (name, row[name], cell)
            nulls += row[name] is None
    print(f"pyarrow {pa.__version__}: {len(rows)} rows of {len(columns)} columns have the schema's types, and the values of JSONL; "
          f"{nulls} nulls; Python's csv module reads the same from CSV")


def statistics(folder):
    file = pq.ParquetFile(folder + "/data.parquet")
    meta = file.metadata
    assert meta.num_row_groups > 2, meta.num_row_groups
    fragment = next(ds.dataset(folder + "/data.parquet").get_fragments())
    for query in (ds.field("id") == 5, ds.field("name") == "name-001999", ds.field("id") > 1990):
        groups = fragment.split_by_row_group(query)
        assert len(groups) == 1, (query, len(groups))
        assert fragment.to_table(filter=query).num_rows > 0, query
    assert not fragment.split_by_row_group(ds.field("id") > 5000)
    for group in range(meta.num_row_groups):
        for column in range(meta.num_columns):
            chunk = meta.row_group(group).column(column)
            assert chunk.has_offset_index, chunk
            assert chunk.has_column_index or not chunk.statistics.has_min_max, chunk  # long values are left out
    print(f"pyarrow {pa.__version__}: a filter reads 1 of {meta.num_row_groups} row groups; every column chunk has its page indexes")


{"values": values, "statistics": statistics}[sys.argv[1]](sys.argv[2])
