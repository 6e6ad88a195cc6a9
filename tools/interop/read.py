"""Reads Delta tables with readers that none of us wrote, and prints what they see.

usage: read.py FOLDER[@VERSION]...

One line of JSON for each table and reader: {"table", "reader", "columns": [[name, type]...], "rows": [{name: text or null}...]}.
"""

import datetime
import decimal
import json
import os
import sys

os.chdir("/")  # ClickHouse reads nothing outside its folder

import chdb
import deltalake


def text(value):
    """A value as every reader shows it: the same text for the same value."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, decimal.Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return str(value)


def delta_rs(folder, version):
    table = deltalake.DeltaTable(folder, version=version)
    columns = [[f.name, f.type.type] for f in table.schema().fields]
    return columns, [{k: text(v) for k, v in row.items()} for row in table.to_pyarrow_table().to_pylist()]


def clickhouse(folder, version):
    at = "" if version is None else f", delta_lake_snapshot_version = {version}"
    query = f"SELECT * FROM deltaLakeLocal('{folder}/') SETTINGS session_timezone = 'UTC'{at}"
    answer = json.loads(str(chdb.query(query, "JSON")))
    columns = [[c["name"], c["type"]] for c in answer["meta"]]

    def typed(value, of):
        if value is None:
            return None
        if "DateTime" in of:
            return value.replace(" ", "T") + "Z"
        if "Decimal" in of:
            return text(decimal.Decimal(str(value)))
        if "Float" in of:
            return repr(float(value))
        return text(value)

    return columns, [{name: typed(row[name], of) for name, of in columns} for row in answer["data"]]


for argument in sys.argv[1:]:
    folder, _, version = argument.partition("@")
    for name, read in {"delta-rs": delta_rs, "clickhouse": clickhouse}.items():
        columns, rows = read(folder, int(version) if version else None)
        print(json.dumps({"table": argument, "reader": name, "columns": columns, "rows": rows}))
