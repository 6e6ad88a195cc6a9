"""Reads a share with the protocol's own client, and prints what it found as JSON."""
import json
import sys

import delta_sharing

profile = sys.argv[1]
client = delta_sharing.SharingClient(profile)
cities = profile + "#ACME-Lake.kadoa.wf_cities__v1"  # case does not matter
hint = {
    "op": "equal",
    "children": [
        {"op": "column", "name": "PEOPLE", "valueType": "double"},
        {"op": "literal", "value": "200", "valueType": "double"},
    ],
}

frame = delta_sharing.load_as_pandas(cities).sort_values("CITY")
# The same in Delta's own format, through the Delta kernel.
kernel = delta_sharing.load_as_pandas(cities, use_delta_format=True).sort_values("CITY")
assert frame.reset_index(drop=True).astype(str).equals(kernel.reset_index(drop=True).astype(str)), (frame, kernel)

json.dump(
    {
        "shares": [share.name for share in client.list_shares()],
        "tables": [f"{t.share}.{t.schema}.{t.name}" for t in client.list_all_tables()],
        "rows": [
            {name: None if value != value else value for name, value in row.items()}
            for row in json.loads(frame.assign(KADOA_RUN_FINISHED_AT=frame["KADOA_RUN_FINISHED_AT"].map(lambda t: t.isoformat())).to_json(orient="records"))
        ],
        "limited": len(delta_sharing.load_as_pandas(cities, limit=3)),
        "old": len(delta_sharing.load_as_pandas(cities, version=1)),
        "version": delta_sharing.get_table_version(cities),
        "hinted": sorted(delta_sharing.load_as_pandas(cities, jsonPredicateHints=json.dumps(hint))["CITY"]),
    },
    sys.stdout,
)
