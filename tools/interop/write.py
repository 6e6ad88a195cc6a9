"""Writes an Arrow file as a Delta table, once for each line of its input: the folder to write to. Prints the seconds.

usage: write.py FILE.arrow
"""

import sys
import time

import deltalake
import pyarrow

table = pyarrow.ipc.open_file(sys.argv[1]).read_all()
zstd = deltalake.WriterProperties(compression="ZSTD", compression_level=1)
for line in sys.stdin:
    begun = time.perf_counter()
    deltalake.write_deltalake(line.strip(), table, writer_properties=zstd)
    print(time.perf_counter() - begun, flush=True)
