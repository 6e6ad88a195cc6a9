REMOVE {{lit (printf "@%s/%s" (.Staging "INGEST") .Path)}}
