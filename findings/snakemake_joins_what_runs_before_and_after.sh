#!/usr/bin/env bash
# Snakemake's group-components joins jobs of a group that run before and after another one, and refuses the plan for it.
#
# Short jobs are given one group, so that a cluster gets fewer of them; --group-components says how many that do not
# hang together are run as one. One would guess that only those are joined that can run together: the two short jobs
# here, one before a training and one after it, are two groups by default, and run. What happens: with two components
# the jobs of a group are taken in any order and joined up to the number, then the plan is refused since "group short
# depends on itself". So a profile that has served for months refuses a workflow in which a second round of the same
# rule comes behind a training, and which jobs are joined where there are more differs from run to run (they lie in a
# set).
# Versions: snakemake 9.27.1, Python 3.11. Seen on 2026-12-01, prepare -> train -> score, prepare and score in a group:
#   one component: planned, two components: refused, Group short depends on itself
# Source: the output above; DAG._update_group_components and DAG._check_groups in snakemake/dag.py.
# What to do: keep rules that also run behind a job outside the group out of groups with several components, or give
# them a group of their own; and plan (-n) every kind of run with the profile of the cluster, not only on one machine.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet snakemake==9.27.1
cd "$folder"
cat > Snakefile <<'RULES'
rule all:
    input: "scored.txt"

rule prepare:
    output: "prepared.txt"
    shell: "touch {output}"

rule train:
    input: "prepared.txt"
    output: "trained.txt"
    shell: "touch {output}"

rule score:
    input: "trained.txt"
    output: "scored.txt"
    shell: "touch {output}"
RULES
plan() {
    "$folder/venv/bin/snakemake" --dry-run --quiet --cores 1 --groups prepare=short score=short \
        --group-components short="$1" > "$1.log" 2>&1
}
one=refused
two=refused
plan 1 && one=planned
plan 2 && two=planned
echo "one component: $one, two components: $two, $(grep -o 'Group short depends on itself' 2.log)"
test "$one $two" = "planned refused"
