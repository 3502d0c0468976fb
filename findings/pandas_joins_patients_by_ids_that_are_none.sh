#!/usr/bin/env bash
# pandas reads ids of patients as numbers or as missing, and joins all rows whose id is missing with one another.
#
# One would guess that a column of ids stays what is written in it where one id has a letter, and that rows without an
# id match nothing, as in SQL. What happens: 12E4 is a number to read_csv, so the patients 12E4 and 120000 become one,
# 120000.0; NA, None, null and nan are missing. And merge takes two missing keys for equal: every row without an id is
# joined with every other, the response of one patient with the volume of another, while groupby leaves them out.
# dtype=str keeps 12E4, not NA.
# Versions: pandas 3.1.1, numpy 2.4.6. Seen on 2026-12-01, tables of four patients, 12E4, 120000, NA and None:
#   volumes.csv: 4 patients become 2 ids, 120000.0 and nan
#   joined with responses.csv, by default: 8 rows of 4, 4 of two patients
#   joined with responses.csv, with dtype=str: 6 rows of 4, 2 of two patients
#   joined with responses.csv, with keep_default_na=False as well: 4 rows of 4, 0 of two patients
# Source: the output above; na_values and dtype of pandas.read_csv; the note on null keys of DataFrame.merge.
# What to do: read_csv(..., dtype={"patient": str}, keep_default_na=False), and merge(..., validate="one_to_one").
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pandas==3.1.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import io
import sys

import pandas

IDS = ("12E4", "120000", "NA", "None")
VOLUMES = "patient,volume\n" + "".join(f"{name},{number}\n" for number, name in enumerate(IDS))
RESPONSES = "patient,response\n" + "".join(f"{name},{number}\n" for number, name in enumerate(IDS))


def joined(**options):
    """Return how many rows the joined table has, and how many hold values of two patients."""
    left, right = (pandas.read_csv(io.StringIO(text), **options) for text in (VOLUMES, RESPONSES))
    both = left.merge(right, on="patient")
    return len(both), int((both["volume"] != both["response"]).sum())


ids = pandas.read_csv(io.StringIO(VOLUMES))["patient"].unique()
print(f"volumes.csv: {len(IDS)} patients become {len(ids)} ids, {ids[0]} and {ids[1]}")
by_default, by_text = joined(), joined(dtype={"patient": str})
as_written = joined(dtype={"patient": str}, keep_default_na=False)
for how, (num_rows, num_wrong) in (
    ("by default", by_default), ("with dtype=str", by_text), ("with keep_default_na=False as well", as_written)
):
    print(f"joined with responses.csv, {how}: {num_rows} rows of {len(IDS)}, {num_wrong} of two patients")
sys.exit(not (by_default == (8, 4) and as_written == (4, 0)))
PYTHON
