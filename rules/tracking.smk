# Contract: annotated lesions of two times and stores -> trackings/<tracking>/<split>/: queries.csv, frames.csv, and for
# every answer <model>.<method>.matches.csv, .evidence.csv, .judged.csv, .scores.json, .pairs.csv, .lesions.html;
# affine_start.scores.json, .pairs.csv; trackings/<tracking>/<model>.<method>.confidence.json, fitted on the other split.

ANSWERS = [
    (name, f"{model}.{method}")
    for name, tracking in sorted(SETTINGS.trackings.items())
    for model in tracking.models
    for method in tracking.methods
]
METHODS_OF_TRACKING = sorted(
    {method for tracking in SETTINGS.trackings.values() for method in tracking.methods}
)
SPLIT_FOLDER = RESULTS / "trackings" / "{tracking}" / "{split}"


def tracking_of(wildcards):
    """Return the settings of a tracking."""
    return SETTINGS.trackings[wildcards.tracking]


def tracked_index(wildcards):
    """Return the index of the data set of a tracking."""
    return RESULTS / "volumes" / f"{tracking_of(wildcards).dataset}.csv"


def annotated_phantoms(dataset, name):
    """Return a file of the annotations of a data set of phantoms."""
    return made_folder(dataset) / "annotations" / name


def annotations_of(wildcards):
    """Return the annotation file of a split: the public one, or that of the phantoms."""
    dataset = tracking_of(wildcards).dataset
    if dataset in TRACKED_PHANTOMS:
        return annotated_phantoms(dataset, f"{wildcards.split}.json")
    return SETTINGS.datasets[dataset].annotations[wildcards.split]


def pairs_out_of_view(wildcards):
    """Return the file of the pairs whose lesion left the target; only phantoms know such."""
    dataset = tracking_of(wildcards).dataset
    if dataset in TRACKED_PHANTOMS:
        return [annotated_phantoms(dataset, f"{wildcards.split}.out_of_view.json")]
    return []


def option_with(name):
    """Return the function that gives an option with the input of that name, or nothing if there is none."""

    def option(wildcards, input):
        path = input.get(name)
        return [f"--{name.replace('_', '-')}={path}"] if path else []

    return option


def tracked_stores(wildcards):
    """Return the list of stores that a tracking searches."""
    folder = RESULTS / "embeddings" / wildcards.model / "trained"
    return folder / f"{tracking_of(wildcards).dataset}.csv"


def fitted_on(suffix):
    """Return the function that names a file of the split that a confidence is fitted on."""

    def path(wildcards):
        folder = RESULTS / "trackings" / wildcards.tracking
        return (
            folder
            / tracking_of(wildcards).confidence.fitted_on
            / suffix.format(answer=f"{wildcards.model}.{wildcards.method}")
        )

    return path


def answer_files(name, split, answer):
    """Return what pages show of an answer and of the affine start."""
    folder = RESULTS / "trackings" / name / split
    kinds = ["scores.json", "pairs.csv", "matches.csv"]
    if SETTINGS.trackings[name].confidence:
        kinds += ["judged.csv", "confidence_scores.json"]
    return [
        *[
            folder / file
            for file in (
                "queries.csv",
                "affine_start.scores.json",
                "affine_start.pairs.csv",
            )
        ],
        *[folder / f"{answer}.{kind}" for kind in kinds],
    ]


def resampling_arguments(wildcards):
    """Return the draws behind intervals and tests of a tracking."""
    bootstrap = tracking_of(wildcards).bootstrap
    return ["--num-draws", str(bootstrap.num_resamples), "--seed", str(bootstrap.seed)]


rule annotate_phantoms:
    """Write the lesions of synthetic bodies at two times as public annotation files, with an affine start."""
    input:
        index=RESULTS / "volumes" / "{dataset}.csv",
        lesions=lambda wildcards: sorted(
            {
                made_folder(wildcards.dataset) / f"{volume.patient_id}.lesions.csv"
                for volume in RAW_VOLUMES[wildcards.dataset].values()
            }
        ),
    output:
        expand(
            RESULTS
            / "phantoms"
            / "{{dataset}}"
            / "annotations"
            / "{split}{kind}.json",
            split=["validation", "test"],
            kind=["", ".out_of_view"],
        ),
    log:
        RESULTS / "logs" / "annotate_phantoms" / "{dataset}.log",
    benchmark:
        RESULTS / "benchmarks" / "annotate_phantoms" / "{dataset}.tsv"
    wildcard_constraints:
        dataset=one_of(TRACKED_PHANTOMS),
    conda:
        CPU_ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings=dataset_section,
        phantom_folder=lambda wildcards: made_folder(wildcards.dataset),
        folder=lambda wildcards, output: Path(output[0]).parent,
        code=code_of("annotate_phantoms"),
    shell:
        "python -m workflow_scripts.annotate_phantoms --settings {params.settings:q} --index {input.index}"
        " --phantom-folder {params.phantom_folder} --output-folder {params.folder} 2> {log}"


rule make_tracking_queries:
    """Write annotated lesions as queries in world mm, and the affine of every volume's annotation grid."""
    input:
        annotations=annotations_of,
        out_of_view=pairs_out_of_view,
        index=tracked_index,
    output:
        queries=SPLIT_FOLDER / "queries.csv",
        frames=SPLIT_FOLDER / "frames.csv",
    log:
        RESULTS / "logs" / "make_tracking_queries" / "{tracking}" / "{split}.log",
    benchmark:
        RESULTS / "benchmarks" / "make_tracking_queries" / "{tracking}" / "{split}.tsv"
    conda:
        CPU_ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        out_of_view=option_with("out_of_view"),
        state=lambda wildcards: state_of([annotations_of(wildcards)]),
        code=code_of("make_tracking_queries"),
    shell:
        "python -m workflow_scripts.make_tracking_queries --annotations {input.annotations:q} {params.out_of_view:q}"
        " --index {input.index} --output-queries {output.queries} --output-frames {output.frames} 2> {log}"


use rule match_points as match_lesions with:
    input:
        queries=SPLIT_FOLDER / "queries.csv",
        stores=tracked_stores,
    output:
        SPLIT_FOLDER / "{model}.{method}.matches.csv",
    log:
        RESULTS
        / "logs"
        / "match_lesions"
        / "{tracking}"
        / "{split}"
        / "{model}.{method}.log",
    benchmark:
        (
            RESULTS
            / "benchmarks"
            / "match_lesions"
            / "{tracking}"
            / "{split}"
            / "{model}.{method}.tsv"
        )
    wildcard_constraints:
        method=one_of(METHODS_OF_TRACKING),
    params:
        settings=lambda wildcards: matching_section(
            wildcards.method, with_way_back=False
        ),
        method=lambda wildcards: wildcards.method,
        code=code_of("match_points"),


rule assess_matches:
    """Measure what speaks for and against every answer, without the truth."""
    input:
        queries=SPLIT_FOLDER / "queries.csv",
        matches=SPLIT_FOLDER / "{model}.{method}.matches.csv",
        stores=tracked_stores,
        index=tracked_index,
    output:
        SPLIT_FOLDER / "{model}.{method}.evidence.csv",
    log:
        RESULTS
        / "logs"
        / "assess_matches"
        / "{tracking}"
        / "{split}"
        / "{model}.{method}.log",
    benchmark:
        (
            RESULTS
            / "benchmarks"
            / "assess_matches"
            / "{tracking}"
            / "{split}"
            / "{model}.{method}.tsv"
        )
    wildcard_constraints:
        method=one_of(METHODS_OF_TRACKING),
    conda:
        TORCH_ENVIRONMENT
    threads: 2
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        settings=lambda wildcards: section_json(
            matching=SETTINGS.matching,
            evidence=tracking_of(wildcards).confidence.evidence,
        ),
        code=code_of("assess_matches"),
    shell:
        "python -m workflow_scripts.assess_matches --settings {params.settings:q} --queries {input.queries}"
        " --matches {input.matches} --stores {input.stores} --index {input.index} --threads {threads}"
        " --output {output} 2> {log}"


rule fit_confidence:
    """Fit the probability that an answer is right, and that the lesion left the view, on another split."""
    input:
        queries=fitted_on("queries.csv"),
        matches=fitted_on("{answer}.matches.csv"),
        evidence=fitted_on("{answer}.evidence.csv"),
    output:
        RESULTS / "trackings" / "{tracking}" / "{model}.{method}.confidence.json",
    log:
        RESULTS / "logs" / "fit_confidence" / "{tracking}" / "{model}.{method}.log",
    benchmark:
        RESULTS
        / "benchmarks"
        / "fit_confidence"
        / "{tracking}"
        / "{model}.{method}.tsv"
    wildcard_constraints:
        method=one_of(METHODS_OF_TRACKING),
    conda:
        CPU_ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings=lambda wildcards: section_json(
            **tracking_of(wildcards).confidence.fit().model_dump(mode="json")
        ),
        code=code_of("fit_confidence"),
    shell:
        "python -m workflow_scripts.fit_confidence --settings {params.settings:q} --queries {input.queries}"
        " --matches {input.matches} --evidence {input.evidence} --output {output} 2> {log}"


rule judge_matches:
    """Say of every answer how likely it is right: accept, review, or out of the field of view."""
    input:
        queries=SPLIT_FOLDER / "queries.csv",
        matches=SPLIT_FOLDER / "{model}.{method}.matches.csv",
        evidence=SPLIT_FOLDER / "{model}.{method}.evidence.csv",
        confidence=RESULTS
        / "trackings"
        / "{tracking}"
        / "{model}.{method}.confidence.json",
    output:
        judged=SPLIT_FOLDER / "{model}.{method}.judged.csv",
        markups=directory(SPLIT_FOLDER / "{model}.{method}.markups"),
    log:
        RESULTS
        / "logs"
        / "judge_matches"
        / "{tracking}"
        / "{split}"
        / "{model}.{method}.log",
    benchmark:
        (
            RESULTS
            / "benchmarks"
            / "judge_matches"
            / "{tracking}"
            / "{split}"
            / "{model}.{method}.tsv"
        )
    wildcard_constraints:
        method=one_of(METHODS_OF_TRACKING),
    conda:
        CPU_ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_of("judge_matches"),
    shell:
        "python -m workflow_scripts.judge_matches --queries {input.queries} --matches {input.matches}"
        " --evidence {input.evidence} --confidence {input.confidence} --output {output.judged}"
        " --output-markups {output.markups} 2> {log}"


rule score_confidence:
    """Score probabilities and decisions on lesions that they were not fitted on."""
    input:
        queries=SPLIT_FOLDER / "queries.csv",
        matches=SPLIT_FOLDER / "{model}.{method}.matches.csv",
        judged=SPLIT_FOLDER / "{model}.{method}.judged.csv",
    output:
        SPLIT_FOLDER / "{model}.{method}.confidence_scores.json",
    log:
        RESULTS
        / "logs"
        / "score_confidence"
        / "{tracking}"
        / "{split}"
        / "{model}.{method}.log",
    benchmark:
        (
            RESULTS
            / "benchmarks"
            / "score_confidence"
            / "{tracking}"
            / "{split}"
            / "{model}.{method}.tsv"
        )
    wildcard_constraints:
        method=one_of(METHODS_OF_TRACKING),
    conda:
        CPU_ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings=lambda wildcards: section_json(
            **tracking_of(wildcards).confidence.decision.model_dump(mode="json")
        ),
        code=code_of("score_confidence"),
    shell:
        "python -m workflow_scripts.score_confidence --settings {params.settings:q} --queries {input.queries}"
        " --matches {input.matches} --judged {input.judged} --output {output} 2> {log}"


rule score_tracking:
    """Score one method under every published definition, and compare it with the affine start."""
    input:
        annotations=annotations_of,
        predictions=SPLIT_FOLDER / "{model}.{method}.matches.csv",
        compare=annotations_of,
        set_aside=pairs_out_of_view,
        volumes=SPLIT_FOLDER / "frames.csv",
    output:
        scores=SPLIT_FOLDER / "{model}.{method}.scores.json",
        pairs=SPLIT_FOLDER / "{model}.{method}.pairs.csv",
    log:
        RESULTS
        / "logs"
        / "score_tracking"
        / "{tracking}"
        / "{split}"
        / "{model}.{method}.log",
    benchmark:
        (
            RESULTS
            / "benchmarks"
            / "score_tracking"
            / "{tracking}"
            / "{split}"
            / "{model}.{method}.tsv"
        )
    wildcard_constraints:
        method=one_of(METHODS_OF_TRACKING),
    conda:
        CPU_ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        draws=resampling_arguments,
        compare=option_with("compare"),
        set_aside=option_with("set_aside"),
        state=lambda wildcards: state_of([annotations_of(wildcards)]),
        code=code_of("score_tracking"),
    shell:
        "python -m workflow_scripts.score_tracking --annotations {input.annotations:q}"
        " --predictions {input.predictions:q} --volumes {input.volumes} {params.compare:q} {params.set_aside:q}"
        " {params.draws} --output {output.scores} --pairs-output {output.pairs} > {log} 2>&1"


use rule score_tracking as score_affine_start with:
    input:
        annotations=annotations_of,
        predictions=annotations_of,
        volumes=SPLIT_FOLDER / "frames.csv",
    output:
        scores=SPLIT_FOLDER / "affine_start.scores.json",
        pairs=SPLIT_FOLDER / "affine_start.pairs.csv",
    log:
        RESULTS
        / "logs"
        / "score_tracking"
        / "{tracking}"
        / "{split}"
        / "affine_start.log",
    benchmark:
        (
            RESULTS
            / "benchmarks"
            / "score_tracking"
            / "{tracking}"
            / "{split}"
            / "affine_start.tsv"
        )
    wildcard_constraints:
        split="validation|test",


rule write_lesion_page:
    """Show every followed lesion in three planes, worst first."""
    input:
        lambda wildcards: answer_files(
            wildcards.tracking, wildcards.split, wildcards.answer
        ),
        index=tracked_index,
    output:
        SPLIT_FOLDER / "{answer}.lesions.html",
    log:
        RESULTS
        / "logs"
        / "write_lesion_page"
        / "{tracking}"
        / "{split}"
        / "{answer}.log",
    benchmark:
        (
            RESULTS
            / "benchmarks"
            / "write_lesion_page"
            / "{tracking}"
            / "{split}"
            / "{answer}.tsv"
        )
    wildcard_constraints:
        answer=one_of({answer for _, answer in ANSWERS}),
    conda:
        CPU_ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        settings=lambda wildcards: section_json(
            **tracking_of(wildcards).model_dump(mode="json")
        ),
        prefix=lambda wildcards, output: Path(output[0]).with_name(wildcards.answer),
        title=lambda wildcards: f"{SETTINGS.title}: lesions of {wildcards.tracking}",
        code=code_of("write_lesion_page"),
    shell:
        "python -m workflow_scripts.write_lesion_page --settings {params.settings:q} --tracking {params.prefix}"
        " --index {input.index} --title {params.title:q} --output {output} 2> {log}"
