# Contract
#   reads    queries, scores, errors and matches of evaluations and trackings, with the scores of confidences; pages of
#            lesions; what is written of registered pairs; training logs; indices and volumes; benchmarks/ and provenance/
#   writes   report.html and matches.html for people; summary.json and results.csv for programs
#   used by  the run's end

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


def confidence_score_files():
    """Return the scores of every confidence, by evaluation or tracking."""
    return sorted(
        {
            path.with_name(f"{path.name}.confidence_scores.json")
            for model in MODELS
            for method in ASKED_METHODS
            for path in answers_of(model, method).values()
        }
    )


rule write_report:
    """Write the report: what ran, how well, with examples to look at."""
    input:
        scores=method_files("scores.json"),
        errors=method_files("errors.csv"),
        matches=method_files("matches.csv"),
        queries=[f"<results>/evaluations/{name}/queries.csv" for name, _ in METHODS],
        indices=[index_of(SETTINGS.evaluations[name].dataset) for name, _ in METHODS],
        logs=[
            f"<results>/models/{model}/{kind}_log.csv"
            for model in MODELS
            for kind in ("training", "validation")
        ],
        registrations=registration_files(),
        registration_indices=[
            index_of(SETTINGS.registrations[name].dataset)
            for name, _, _ in REGISTERED_PAIRS
        ],
        tracking=tracking_files(),
        tracking_indices=[
            index_of(SETTINGS.trackings[name].dataset) for name, _ in ANSWERS
        ],
        datasets=[index_of(name) for name in DATASETS],
        confidences=confidence_score_files(),
    output:
        report="<results>/report.html",
        match_page="<results>/matches.html",
        summary="<results>/summary.json",
        table="<results>/results.csv",
    log:
        "<logs>/write_report.log",
    benchmark:
        "<benchmarks>/write_report.tsv"
    conda:
        CPU_ENVIRONMENT
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        settings=section_of(SETTINGS),
        benchmarks=RESULTS / "benchmarks",
        provenance=RESULTS / "provenance",
        registrations=[pair_folder(*pair) for pair in REGISTERED_PAIRS],
        trackings=[
            RESULTS / "trackings" / name / SETTINGS.trackings[name].split / answer
            for name, answer in ANSWERS
        ],
        datasets=lambda wildcards, input: [
            f"{Path(path).stem}={path}" for path in input.datasets
        ],
        code=code_of("write_report"),
    shell:
        "python -m workflow_scripts.write_report"
        " --settings {params.settings:q}"
        " --scores {input.scores}"
        " --errors {input.errors}"
        " --matches {input.matches}"
        " --queries {input.queries}"
        " --index {input.indices}"
        " --training-logs {input.logs}"
        " --benchmarks {params.benchmarks}"
        " --provenance {params.provenance}"
        " --output {output.report}"
        " --match-page {output.match_page}"
        " --registrations {params.registrations}"
        " --registration-indices {input.registration_indices}"
        " --confidences {input.confidences}"
        " --trackings {params.trackings}"
        " --tracking-indices {input.tracking_indices}"
        " --datasets {params.datasets}"
        " --summary {output.summary}"
        " --results-table {output.table}"
        " 2> {log}"
