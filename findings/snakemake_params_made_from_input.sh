#!/bin/sh
# One would guess: a value under `params:` that changes makes a job run again, whatever function it comes from.
# It happens:      Snakemake compares only params that no input went into. A function of (wildcards, input) is recorded
#                  and never compared, so a value that should notice a replaced input file, such as its size and date,
#                  is dead there. The same function of (wildcards) alone makes the job run again.
# Matters for:     data that is replaced by files with an older date (copied back from an archive, a link turned to
#                  another file), which no rule by dates notices.
# Versions:        snakemake 9.27.1, Python 3.11 (2026-11-28).
# Output seen:     from wildcards: runs again
#                  from input: Nothing to be done
# Source:          https://snakemake.readthedocs.io/en/stable/executing/cli.html (--rerun-triggers)
# What to do:      compute such params from wildcards, as `state_of` in rules/common.smk does.
set -eu
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet snakemake==9.27.1
cd "$folder"
cat > Snakefile <<'RULES'
import os


def size(path):
    return os.path.getsize(path)


rule all:
    input: "from_wildcards.txt", "from_input.txt"

rule by_wildcards:
    input: "scan"
    output: "from_wildcards.txt"
    params: state=lambda wildcards: size("scan")
    shell: "touch {output}"

rule by_input:
    input: "scan"
    output: "from_input.txt"
    params: state=lambda wildcards, input: size(input[0])
    shell: "touch {output}"
RULES
head -c 1000000 /dev/zero > scan
"$folder/venv/bin/snakemake" --cores 1 --quiet all > first.log 2>&1
head -c 2000000 /dev/zero > scan
touch -d 2001-01-01 scan

planned() { "$folder/venv/bin/snakemake" --cores 1 --dry-run "$1" 2>&1; }
is_planned() { planned "$1" | grep -q "Nothing to be done" && echo "Nothing to be done" || echo "runs again"; }
echo "from wildcards: $(is_planned from_wildcards.txt)"
echo "from input: $(is_planned from_input.txt)"
[ "$(is_planned from_wildcards.txt)" = "runs again" ] && [ "$(is_planned from_input.txt)" = "Nothing to be done" ]
