# Contract: scores, errors, logs and volumes -> report.html for people and summary.json for programs.

METHODS = [(name, method) for name in sorted(SETTINGS.evaluations) for method in methods_of(name)]


def method_files(suffix):
    """Return one file of every method of every evaluation."""
    return [RESULTS / "evaluations" / name / f"{method}.{suffix}" for name, method in METHODS]


rule write_report:
    """Write the report: what ran, how well, with examples to look at."""
    input:
        scores=method_files("scores.json"),
        errors=method_files("errors.csv"),
        landmark_tables=method_files("landmarks.csv"),
        matches=method_files("matches.csv"),
        queries=[RESULTS / "evaluations" / name / "queries.csv" for name in sorted(SETTINGS.evaluations)],
        indices=[RESULTS / "volumes" / f"{dataset}.csv" for dataset in DATASETS],
        models=[RESULTS / "models" / model / "trained.safetensors" for model in MODELS],
    output:
        report=RESULTS / "report.html",
        summary=RESULTS / "summary.json",
    params:
        settings=SETTINGS.model_dump_json(),
        code=code_of("write_report"),
    log:
        RESULTS / "logs" / "write_report.log",
    benchmark:
        RESULTS / "benchmarks" / "write_report.tsv"
    conda:
        CPU_ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    shell:
        "python -m workflow_scripts.write_report --settings {params.settings:q} 2> {log}"
