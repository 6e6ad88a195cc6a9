"""Appends the first row of a Delta table to it once more, and writes a checkpoint, as delta-rs does both.

usage: append.py FOLDER
"""

import sys

import deltalake

table = deltalake.DeltaTable(sys.argv[1])
deltalake.write_deltalake(table, table.to_pyarrow_table().slice(0, 1), mode="append")
deltalake.DeltaTable(sys.argv[1]).create_checkpoint()
