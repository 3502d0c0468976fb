# Contract
#   reads    volumes/<dataset>.csv, embeddings/<model>/trained/<dataset>.csv, annotated lesions of two times: the public
#            file, or phantoms/<dataset>/<patient>.lesions.csv; the raw scans of a tracking whose answers are refined,
#            and deeds/deeds, which registers them
#   writes   phantoms/<dataset>/annotations/: <split>.json and <split>.out_of_view.json; trackings/<tracking>/<split>/:
#            queries.csv, frames.csv, and for every answer <model>.<method>.matches.csv
#   used by  confidence, lesion_scores and report

ANSWERS = [
    (name, f"{model}.{method}")
    for name, tracking in sorted(SETTINGS.trackings.items())
    for model in tracking.models
    for method in tracking.methods
]
METHODS_OF_TRACKING = sorted(
    {method for tracking in SETTINGS.trackings.values() for method in tracking.methods}
)


def tracking_of(wildcards):
    """Return the settings of a tracking."""
    return SETTINGS.trackings[wildcards.tracking]


def tracked_index(wildcards):
    """Return the index of the data set of a tracking."""
    return index_of(tracking_of(wildcards).dataset)


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


def has_annotations(dataset, split):
    """Say whether the lesions of a split are annotated; phantoms know theirs, if the split has any."""
    if dataset in TRACKED_PHANTOMS:
        parts = SETTINGS.datasets[dataset].split
        return {"validation": parts.num_validation, "test": parts.num_test}.get(
            split, 1
        ) > 0
    return split in SETTINGS.datasets[dataset].annotations


def tracked_stores(wildcards):
    """Return the list of stores that a tracking searches."""
    return stores_of(wildcards.model, "trained", tracking_of(wildcards).dataset)


rule annotate_phantoms:
    """Write the lesions of synthetic bodies at two times as public annotation files, with an affine start."""
    input:
        index="<results>/volumes/{dataset}.csv",
        lesions=lambda wildcards: sorted(
            {
                made_folder(wildcards.dataset) / f"{volume.patient_id}.lesions.csv"
                for volume in RAW_VOLUMES[wildcards.dataset].values()
            }
        ),
    output:
        expand(
            "<results>/phantoms/{{dataset}}/annotations/{split}{kind}.json",
            split=["validation", "test"],
            kind=["", ".out_of_view"],
        ),
    log:
        "<logs>/annotate_phantoms/{dataset}.log",
    benchmark:
        "<benchmarks>/annotate_phantoms/{dataset}.tsv"
    wildcard_constraints:
        dataset=one_of(TRACKED_PHANTOMS),
    conda:
        CPU_ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings=dataset_section,
        phantom_folder=lambda wildcards: made_folder(wildcards.dataset),
        folder=lambda wildcards, output: Path(output[0]).parent,
        code=code_of("annotate_phantoms"),
    shell:
        "python -m workflow_scripts.annotate_phantoms"
        " --settings {params.settings:q}"
        " --index {input.index}"
        " --phantom-folder {params.phantom_folder}"
        " --output-folder {params.folder}"
        " 2> {log}"


rule make_tracking_queries:
    """Write annotated lesions as queries in world mm, and the affine of every volume's annotation grid."""
    input:
        annotations=annotations_of,
        out_of_view=pairs_out_of_view,
        index=tracked_index,
    output:
        queries="<results>/trackings/{tracking}/{split}/queries.csv",
        frames="<results>/trackings/{tracking}/{split}/frames.csv",
    log:
        "<logs>/make_tracking_queries/{tracking}/{split}.log",
    benchmark:
        "<benchmarks>/make_tracking_queries/{tracking}/{split}.tsv"
    conda:
        CPU_ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        out_of_view=given_options("out_of_view"),
        state=lambda wildcards: state_of([annotations_of(wildcards)]),
        code=code_of("make_tracking_queries"),
    shell:
        "python -m workflow_scripts.make_tracking_queries"
        " --annotations {input.annotations:q}"
        " {params.out_of_view:q}"
        " --index {input.index}"
        " --output-queries {output.queries}"
        " --output-frames {output.frames}"
        " 2> {log}"


use rule match_points as match_lesions with:
    """Find the lesions of one time at the other by one way of matching."""
    input:
        queries="<results>/trackings/{tracking}/{split}/queries.csv",
        index=tracked_index,
        stores=tracked_stores,
        scans=lambda wildcards: scans_that_refine(tracking_of(wildcards)),
        deeds=lambda wildcards: program_that_registers(tracking_of(wildcards)),
    output:
        "<results>/trackings/{tracking}/{split}/{model}.{method}.matches.csv",
    log:
        "<logs>/match_lesions/{tracking}/{split}/{model}.{method}.log",
    benchmark:
        "<benchmarks>/match_lesions/{tracking}/{split}/{model}.{method}.tsv"
    wildcard_constraints:
        method=one_of(METHODS_OF_TRACKING),
    params:
        settings=lambda wildcards: matching_section(
            tracking_of(wildcards), wildcards.method
        ),
        method=lambda wildcards: wildcards.method,
        deeds=given_options("deeds"),
        made_folder=lambda wildcards: made_folder(tracking_of(wildcards).dataset),
        state=lambda wildcards: state_of_scans(tracking_of(wildcards)),
        code=code_of("match_points"),
