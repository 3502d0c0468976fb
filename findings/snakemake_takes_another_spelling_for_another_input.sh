#!/bin/sh
# One would guess: the same file, by an absolute instead of a relative path, is the same input, and nothing runs again.
# It happens:      Snakemake compares the inputs of a finished job by their text. The absolute path, one through a link
#                  and even `./scan` are another input ("Set of input files has changed since last execution"), and all
#                  that comes after runs again, trainings too.
# Matters for:     data sets that are named in a configuration: whoever tidies its paths, or names the same folder from
#                  another machine, runs everything again.
# Versions:        snakemake 9.27.1, Python 3.11 (2026-12-01).
# Output seen:     scan: Nothing to be done
#                  ./scan: runs again
#                  absolute: runs again
#                  link: runs again
# Source:          the output above, and the reason that the dry run gives (--rerun-triggers input).
# What to do:      bring every path of the configuration to one spelling before a rule sees it, as
#                  anatomical_embedding/settings/one_spelling.py does.
set -eu
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet snakemake==9.27.1
mkdir "$folder/run"
ln -s "$folder/run" "$folder/link"
cd "$folder/run"
cat > Snakefile <<'RULES'
rule all:
    input: "trained.txt"

rule prepare:
    input: config["scan"]
    output: "prepared.txt"
    shell: "cp {input} {output}"

rule train:
    input: "prepared.txt"
    output: "trained.txt"
    shell: "cp {input} {output}"
RULES
echo 1 > scan
"$folder/venv/bin/snakemake" --cores 1 --quiet all --config scan=scan > first.log 2>&1

planned() {
    "$folder/venv/bin/snakemake" --cores 1 --dry-run --config "scan=$1" > "$folder/said.txt" 2>&1
    grep -q "Nothing to be done" "$folder/said.txt" && echo "Nothing to be done" || {
        grep -q "Set of input files has changed" "$folder/said.txt" && grep -q "rule train" "$folder/said.txt" &&
            echo "runs again"
    }
}
as_written=$(planned scan) dotted=$(planned ./scan)
absolute=$(planned "$folder/run/scan") link=$(planned "$folder/link/scan")
printf '%s\n' "scan: $as_written" "./scan: $dotted" "absolute: $absolute" "link: $link"
[ "$as_written" = "Nothing to be done" ] && [ "$dotted" = "runs again" ] &&
    [ "$absolute" = "runs again" ] && [ "$link" = "runs again" ]
