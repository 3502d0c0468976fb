"""What the stages of finished runs cost, side by side: processor seconds by rule, from their folders `benchmarks`.

    python -m benchmarks.stage_costs OLD/results results

prints a row a rule with the number of its jobs and their seconds in each run, then the sums of trainings, of `deeds`
and of everything else. Snakemake samples a job twice a second: it misses the last part of each, and all of one that is
over by the second sample. `benchmarks.replayed_stages` measures short jobs in full.
"""

import argparse
from pathlib import Path

import pandas as pd

TRAININGS = ("train_intra", "train_semantic", "train_inter")
DEEDS = ("build_deeds", "register_deeds", "register_labelled_deeds")


def stage_costs(results: Path) -> pd.DataFrame:
    """Return the jobs and their processor seconds by rule of a finished run."""
    folder = results / "benchmarks"
    jobs = [
        (
            path.relative_to(folder).parts[0].removesuffix(".tsv"),
            pd.read_csv(path, sep="\t")["cpu_time"].sum(),
        )
        for path in sorted(folder.rglob("*.tsv"))
    ]
    by_rule = pd.DataFrame(jobs, columns=["rule", "seconds"]).groupby("rule")["seconds"]
    return pd.DataFrame({"jobs": by_rule.count(), "CPU s": by_rule.sum()})


def kind_of(rule: str) -> str:
    """Return which sum a rule belongs to."""
    return "trainings" if rule in TRAININGS else "deeds" if rule in DEEDS else "all other stages"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, nargs="+", help="folders of finished runs")
    options = parser.parse_args()
    costs = pd.concat({str(path): stage_costs(path) for path in options.results}, axis=1).fillna(0)
    costs = costs.sort_values(costs.columns[1], ascending=False)
    print(costs.round(1).to_string())
    print(costs.groupby(kind_of).sum().round(1).to_string())


if __name__ == "__main__":
    main()
