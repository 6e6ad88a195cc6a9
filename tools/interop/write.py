"""Writes an Arrow file as a Delta table, once for each line of its input: a codec (zstd at level 1, or snappy, which is the
default) and the folder to write to. Prints the seconds, the CPU seconds and the bytes of the data files.

usage: write.py FILE.arrow
"""

import pathlib
import sys
import time

import deltalake
import pyarrow

table = pyarrow.ipc.open_file(sys.argv[1]).read_all()
codecs = {"zstd": deltalake.WriterProperties(compression="ZSTD", compression_level=1), "snappy": None}
for line in sys.stdin:
    codec, folder = line.strip().split(" ", 1)
    begun, cpu = time.perf_counter(), time.process_time()
    deltalake.write_deltalake(folder, table, writer_properties=codecs[codec])
    took = time.perf_counter() - begun, time.process_time() - cpu
    print(*took, sum(f.stat().st_size for f in pathlib.Path(folder).glob("*.parquet")), flush=True)
