#!/bin/sh
# One would guess: `pathvars: pair="results/{pair}"` with `output: "<pair>/one.txt"` is the same as writing the path out.
# It happens:      The paths are the same, yet wildcard_constraints do not hold for {pair}, neither those of the rule nor
#                  the global ones: Snakemake writes constraints into a path before it puts the pathvar in. Two rules
#                  that only their constraints keep apart become ambiguous; a single rule matches more than it should.
# Matters for:     workflows that shorten the folder of a pair or of a split by a pathvar.
# Versions:        snakemake 9.27.1, Python 3.11 (2026-11-28).
# Output seen:     written out: planned
#                  by pathvar: Rules of_a and of_b are ambiguous for the file results/a/one.txt.
# Source:          https://snakemake.readthedocs.io/en/stable/snakefiles/configuration.html (pathvars)
# What to do:      keep wildcards out of pathvars, as rules/common.smk does.
set -eu
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet snakemake==9.27.1
cd "$folder"
cat > by_pathvar <<'RULES'
pathvars:
    pair="results/{pair}",

rule all:
    input: "results/a/one.txt", "results/b/one.txt"

rule of_a:
    output: "<pair>/one.txt"
    wildcard_constraints: pair="a"
    shell: "touch {output}"

rule of_b:
    output: "<pair>/one.txt"
    wildcard_constraints: pair="b"
    shell: "touch {output}"
RULES
sed 's#<pair>/one#results/{pair}/one#' by_pathvar > written_out
for snakefile in written_out by_pathvar; do
    "$folder/venv/bin/snakemake" --snakefile "$snakefile" --cores 1 --dry-run > "$snakefile.log" 2>&1 || true
    printf '%s: ' "$snakefile" | tr _ ' '
    grep -m1 -o "Rules of_. and of_. are ambiguous.*" "$snakefile.log" || echo planned
done
grep -q "are ambiguous" by_pathvar.log && ! grep -q "are ambiguous" written_out.log
