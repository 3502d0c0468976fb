#!/bin/sh
# One would guess: the scheduler of Snakemake looks at the ready jobs when a job ends, and otherwise sleeps.
# It happens:      for its limit of 100 jobs a second, on by default, every round of scheduling starts a timer that begins
#                  another round a second later, so that each job that ends adds one more round a second for as long as
#                  jobs are ready. A round evaluates the resources and input sizes of all ready jobs. With a hundred ready
#                  jobs and minutes of work the main process keeps a core busy.
# Matters for:     workflows of many short jobs on one machine, whose cores the jobs need.
# Versions:        snakemake 9.27.1, Python 3.11 (2026-11-28).
# Output seen:     40 jobs of a second on two cores: 384 rounds with the limit, 40 without
# Source:          https://snakemake.readthedocs.io/en/stable/executing/cli.html (--max-jobs-per-timespan)
# What to do:      take the limit off where jobs run on this machine, as the Snakefile does in `onstart`. A longer timespan
#                  makes rounds rarer, but Snakemake waits for the last timer before it exits.
set -eu
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet snakemake==9.27.1
cd "$folder"
cat > Snakefile <<'RULES'
import os

onstart:
    if os.environ["LIMIT"] == "without":
        workflow.scheduler.job_rate_limiter = None

rule all:
    input: expand("ended/{i}.txt", i=range(40))

rule job:
    output: "ended/{i}.txt"
    shell: "sleep 1; touch {output}"
RULES
for limit in with without; do
    rm -rf ended .snakemake
    LIMIT=$limit "$folder/venv/bin/snakemake" --cores 2 --verbose > "$limit.log" 2>&1
    grep -c "Resources before job selection" "$limit.log" > "$limit.rounds"
done
echo "40 jobs of a second on two cores: $(cat with.rounds) rounds with the limit, $(cat without.rounds) without"
test "$(cat with.rounds)" -gt "$((3 * $(cat without.rounds)))"
