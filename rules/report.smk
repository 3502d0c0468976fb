# Contract: scores, errors, logs and volumes -> report.html and matches.html for people; summary.json and results.csv for programs.

METHODS = [
    (name, method)
    for name in sorted(SETTINGS.evaluations)
    for method in methods_of(name)
]


def method_files(suffix):
    """Return one file of every method of every evaluation."""
    return [
        RESULTS / "evaluations" / name / f"{method}.{suffix}"
        for name, method in METHODS
    ]


def tracking_files():
    """Return what the report shows of the trackings, and the pages of lesions that it leads to."""
    files = []
    for name, answer in ANSWERS:
        split = SETTINGS.trackings[name].split
        files += [
            *answer_files(name, split, answer),
            RESULTS / "trackings" / name / split / f"{answer}.lesions.html",
        ]
    return files


rule write_report:
    """Write the report: what ran, how well, with examples to look at."""
    input:
        scores=method_files("scores.json"),
        errors=method_files("errors.csv"),
        matches=method_files("matches.csv"),
        queries=[RESULTS / "evaluations" / name / "queries.csv" for name, _ in METHODS],
        indices=[
            RESULTS / "volumes" / f"{SETTINGS.evaluations[name].dataset}.csv"
            for name, _ in METHODS
        ],
        logs=[
            RESULTS / "models" / model / f"{kind}_log.csv"
            for model in MODELS
            for kind in ("training", "validation")
        ],
        registrations=registration_files(),
        registration_indices=[
            RESULTS / "volumes" / f"{SETTINGS.registrations[name].dataset}.csv"
            for name, _, _ in REGISTERED_PAIRS
        ],
        tracking=tracking_files(),
        tracking_indices=[
            RESULTS / "volumes" / f"{SETTINGS.trackings[name].dataset}.csv"
            for name, _ in ANSWERS
        ],
        datasets=[RESULTS / "volumes" / f"{name}.csv" for name in DATASETS],
    output:
        report=RESULTS / "report.html",
        match_page=RESULTS / "matches.html",
        summary=RESULTS / "summary.json",
        table=RESULTS / "results.csv",
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
    params:
        settings=section_json(**SETTINGS.model_dump(mode="json")),
        benchmarks=RESULTS / "benchmarks",
        provenance=RESULTS / "provenance",
        registrations=[
            RESULTS / "registrations" / name / f"{fixed}__{moving}"
            for name, fixed, moving in REGISTERED_PAIRS
        ],
        trackings=[
            RESULTS / "trackings" / name / SETTINGS.trackings[name].split / answer
            for name, answer in ANSWERS
        ],
        datasets=lambda wildcards, input: [
            f"{Path(path).stem}={path}" for path in input.datasets
        ],
        code=code_of("write_report"),
    shell:
        "python -m workflow_scripts.write_report --settings {params.settings:q} --scores {input.scores}"
        " --errors {input.errors} --matches {input.matches} --queries {input.queries} --index {input.indices}"
        " --training-logs {input.logs} --benchmarks {params.benchmarks} --provenance {params.provenance} --output {output.report}"
        " --match-page {output.match_page}"
        " --registrations {params.registrations} --registration-indices {input.registration_indices}"
        " --trackings {params.trackings} --tracking-indices {input.tracking_indices}"
        " --datasets {params.datasets} --summary {output.summary} --results-table {output.table} 2> {log}"
