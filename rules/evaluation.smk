# Contract
#   reads    volumes/<dataset>.csv and the prepared volumes, known landmarks or organ masks, the lists of embeddings; the
#            raw scans of an evaluation whose answers are refined, and deeds/deeds, which registers them
#   writes   landmarks/<dataset>.csv and .status.csv; evaluations/<evaluation>/: queries.csv, and for every method
#            <method>.matches.csv, .scores.json, .errors.csv and .landmarks.csv
#   used by  registered_pairs (landmarks), confidence, package (scores of a model), report
# A method is a baseline, or <model>.<matching>: a way of matching of the section `methods`, or untrained (nearest with the
# first weights).

from typing import get_args

from anatomical_embedding.settings.evaluation import Baseline
from anatomical_embedding.settings.matching import NearestSettings

BASELINES = get_args(Baseline)


def evaluation_of(wildcards):
    """Return the settings of an evaluation; of a part of its fit that is moved to the voxel, as if it were refined."""
    evaluation = SETTINGS.evaluations[wildcards.evaluation]
    if is_to_the_voxel(wildcards):
        return evaluation.model_copy(update={"refined": True})
    return evaluation


def evaluated_index(wildcards):
    """Return the index of the data set of an evaluation."""
    return index_of(evaluation_of(wildcards).dataset)


def methods_of(evaluation):
    """Return the methods of an evaluation: its baselines, and its models untrained and trained."""
    settings = SETTINGS.evaluations[evaluation]
    untrained = [method for method in settings.baselines if method not in BASELINES]
    return [method for method in settings.baselines if method in BASELINES] + [
        f"{model}.{matching}"
        for model in settings.models
        for matching in [
            *(untrained if starts_untrained(model) else []),
            *settings.methods,
        ]
    ]


def starts_untrained(model):
    """Say whether the first weights of a model are no trained ones of another."""
    return SETTINGS.models[model].initial_model is None


def matching_section(asked, matching):
    """Return what a way of matching may see in an evaluation or a tracking; an untrained network answers in cells."""
    is_untrained = matching == "untrained"
    is_refined = asked.refined and not is_untrained
    return section_json(
        matching=SETTINGS.matching,
        method=NearestSettings() if is_untrained else SETTINGS.methods[matching],
        evidence=None if is_untrained else SETTINGS.confidence.evidence,
        refined=SETTINGS.refine_table(asked.dataset) if is_refined else None,
    )


def scans_that_refine(asked):
    """Return the raw scans that move the matches of an evaluation or a tracking to the voxel."""
    volumes = RAW_VOLUMES[asked.dataset].values() if asked.refined else []
    return [volume.image_path for volume in volumes]


def program_that_registers(asked):
    """Return the program that registers the scans of an evaluation or a tracking, if they are registered."""
    is_registered = (
        asked.refined and SETTINGS.answers.registration_spacing_mm is not None
    )
    return ["<results>/deeds/deeds"] if is_registered else []


def state_of_scans(asked):
    """Return what changes when a file of the scans that refine is replaced."""
    volumes = RAW_VOLUMES[asked.dataset].values() if asked.refined else []
    return state_of(path for volume in volumes for path in volume.image_files)


def evaluated_stores(wildcards):
    """Return the list of the embedding stores that a way of matching reads."""
    weights = "untrained" if wildcards.matching == "untrained" else "trained"
    return stores_of(wildcards.model, weights, evaluation_of(wildcards).dataset)


def baseline_section(wildcards):
    """Return what a baseline may see."""
    return section_of(evaluation_of(wildcards).baseline(wildcards.method))


def landmark_sources(wildcards):
    """Return the files that hold the landmarks of a data set: those of the phantoms, or organ masks."""
    volumes = RAW_VOLUMES[wildcards.dataset].values()
    if wildcards.dataset in PHANTOMS:
        return [phantom_landmarks_path(volume) for volume in volumes]
    if wildcards.dataset in MOVED:
        return moved_landmark_sources(wildcards.dataset)
    return [path for volume in volumes for path in volume.all_label_paths]


def moved_landmark_sources(dataset):
    """Return the masks that the landmarks of moved pairs come from, and the moves."""
    regions = Path(SETTINGS.datasets[dataset].known_move.regions)
    return [
        (
            made_folder(dataset) / f"{name}.json"
            if volume.modality == "mr"
            else regions / f"{name}.nii.gz"
        )
        for name, volume in RAW_VOLUMES[dataset].items()
    ]


def scored_name(wildcards):
    """Return the arguments that name a method in its scores."""
    model = wildcards.method.rpartition(".")[0]
    evaluation = evaluation_of(wildcards)
    named = ["--dataset", evaluation.dataset, "--protocol", wildcards.evaluation]
    return ["--model", model, *named] if model else named


rule locate_landmarks:
    """Gather the landmarks of a data set in world mm: known ones, or points of the organ masks."""
    input:
        landmark_sources,
    output:
        landmarks="<results>/landmarks/{dataset}.csv",
        status="<results>/landmarks/{dataset}.status.csv",
    log:
        "<logs>/locate_landmarks/{dataset}.log",
    benchmark:
        "<benchmarks>/locate_landmarks/{dataset}.tsv"
    conda:
        CPU_ENVIRONMENT
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        settings=dataset_section,
        made_folder=lambda wildcards: made_folder(wildcards.dataset),
        state=lambda wildcards: state_of(landmark_sources(wildcards)),
        code=code_of("locate_landmarks"),
    shell:
        "python -m workflow_scripts.locate_landmarks"
        " --settings {params.settings:q}"
        " --made-folder {params.made_folder}"
        " --output-landmarks {output.landmarks}"
        " --output-status {output.status}"
        " 2> {log}"


rule make_queries:
    """Choose the pairs of volumes and the landmarks that are asked."""
    input:
        index=evaluated_index,
        landmarks=lambda wildcards: f"<results>/landmarks/{evaluation_of(wildcards).dataset}.csv",
    output:
        "<results>/evaluations/{evaluation}/queries.csv",
    log:
        "<logs>/make_queries/{evaluation}.log",
    benchmark:
        "<benchmarks>/make_queries/{evaluation}.tsv"
    conda:
        CPU_ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings=lambda wildcards: section_of(evaluation_of(wildcards).queries()),
        code=code_of("make_queries"),
    shell:
        "python -m workflow_scripts.make_queries"
        " --settings {params.settings:q}"
        " --index {input.index}"
        " --landmarks {input.landmarks}"
        " --output {output}"
        " 2> {log}"


rule match_baseline:
    """Answer the queries without having learned anything."""
    input:
        index=evaluated_index,
        queries="<results>/evaluations/{evaluation}/queries.csv",
    output:
        "<results>/evaluations/{evaluation}/{method}.matches.csv",
    log:
        "<logs>/match_baseline/{evaluation}/{method}.log",
    benchmark:
        "<benchmarks>/match_baseline/{evaluation}/{method}.tsv"
    wildcard_constraints:
        method=one_of(BASELINES),
    conda:
        CPU_ENVIRONMENT
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        settings=baseline_section,
        code=code_of("match_baseline"),
    shell:
        "python -m workflow_scripts.match_baseline"
        " --settings {params.settings:q}"
        " --index {input.index}"
        " --queries {input.queries}"
        " --output {output}"
        " 2> {log}"


rule match_points:
    """Answer the queries by one way of matching."""
    input:
        queries="<results>/evaluations/{evaluation}/queries.csv",
        index=evaluated_index,
        stores=evaluated_stores,
        scans=lambda wildcards: scans_that_refine(evaluation_of(wildcards)),
        deeds=lambda wildcards: program_that_registers(evaluation_of(wildcards)),
    output:
        "<results>/evaluations/{evaluation}/{model}.{matching}.matches.csv",
    log:
        "<logs>/match_points/{evaluation}/{model}.{matching}.log",
    benchmark:
        "<benchmarks>/match_points/{evaluation}/{model}.{matching}.tsv"
    conda:
        TORCH_ENVIRONMENT
    threads: 2
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        settings=lambda wildcards: matching_section(
            evaluation_of(wildcards), wildcards.matching
        ),
        method=lambda wildcards: wildcards.matching,
        deeds=given_options("deeds"),
        made_folder=lambda wildcards: made_folder(evaluation_of(wildcards).dataset),
        state=lambda wildcards: state_of_scans(evaluation_of(wildcards)),
        code=code_of("match_points"),
    shell:
        "python -m workflow_scripts.match_points"
        " --settings {params.settings:q}"
        " --queries {input.queries}"
        " --stores {input.stores}"
        " --index {input.index}"
        " --method-name {params.method}"
        " --made-folder {params.made_folder}"
        " {params.deeds}"
        " --threads {threads}"
        " --output {output}"
        " 2> {log}"


rule score_landmarks:
    """Score the answers of one method, with intervals over the subjects."""
    input:
        index=evaluated_index,
        queries="<results>/evaluations/{evaluation}/queries.csv",
        matches="<results>/evaluations/{evaluation}/{method}.matches.csv",
    output:
        scores="<results>/evaluations/{evaluation}/{method}.scores.json",
        errors="<results>/evaluations/{evaluation}/{method}.errors.csv",
        landmarks="<results>/evaluations/{evaluation}/{method}.landmarks.csv",
    log:
        "<logs>/score_landmarks/{evaluation}/{method}.log",
    benchmark:
        "<benchmarks>/score_landmarks/{evaluation}/{method}.tsv"
    conda:
        CPU_ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings=lambda wildcards: section_of(evaluation_of(wildcards).bootstrap),
        name=scored_name,
        code=code_of("score_landmarks"),
    shell:
        "python -m workflow_scripts.score_landmarks"
        " --settings {params.settings:q}"
        " --index {input.index}"
        " --queries {input.queries}"
        " --matches {input.matches}"
        " {params.name:q}"
        " --output {output.scores}"
        " --errors {output.errors}"
        " --landmark-table {output.landmarks}"
        " 2> {log}"
