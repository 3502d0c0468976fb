# Contract
#   reads    raw scans and organ masks of every data set: the user's files, phantoms/ or moved/
#   writes   volumes/<dataset>/<volume>.nii with .body_mask.nii, .labels.nii where there are organs, and the description
#            .json; volumes/<dataset>.csv, the index
#   used by  every later stage

LABELLED = [name for name in DATASETS if SETTINGS.datasets[name].organs]
UNLABELLED = [name for name in DATASETS if name not in LABELLED]


def prepare_section(wildcards):
    """Return what the preparation of a volume may see."""
    raw = RAW_VOLUMES[wildcards.dataset][wildcards.volume]
    dataset = SETTINGS.datasets[wildcards.dataset]
    return section_json(
        volumes=SETTINGS.volumes,
        modality=raw.modality,
        organs=dataset.organs,
        bad_labels=getattr(dataset, "bad_labels", "refuse"),
        geometry=dataset.geometry,
        hu_offset=dataset.hu_offset,
        series=raw.series,
    )


def dataset_section(wildcards):
    """Return what the stages of a whole data set may see."""
    return section_json(
        dataset=SETTINGS.datasets[wildcards.dataset],
        largest_gap_mm=SETTINGS.volumes.largest_gap_mm,
    )


def raw_image(wildcards):
    """Return the raw image of a volume."""
    return RAW_VOLUMES[wildcards.dataset][wildcards.volume].image_path


def raw_labels(wildcards):
    """Return the organ masks of a volume."""
    return RAW_VOLUMES[wildcards.dataset][wildcards.volume].all_label_paths


def raw_state(wildcards):
    """Return what changes when the image or a mask of a volume is replaced."""
    image_files = RAW_VOLUMES[wildcards.dataset][wildcards.volume].image_files
    return state_of([*image_files, *raw_labels(wildcards)])


def label_arguments(wildcards, output):
    """Return the organ masks of a volume as ORGAN=PATH, or its label map, and where the prepared map goes."""
    raw = RAW_VOLUMES[wildcards.dataset][wildcards.volume]
    return [
        *(f"--label={organ}={path}" for organ, path in raw.label_paths.items()),
        *([f"--label-map={raw.label_map_path}"] if raw.label_map_path else []),
        f"--output-labels={output.labels}",
    ]


def descriptions_of(wildcards):
    """Return the descriptions of all volumes of a data set."""
    return [
        RESULTS / "volumes" / wildcards.dataset / f"{volume}.json"
        for volume in RAW_VOLUMES[wildcards.dataset]
    ]


rule resample_volume:
    """Prepare one volume: orient, mask the body, resample and crop."""
    input:
        image=raw_image,
    output:
        image="<results>/volumes/{dataset}/{volume}.nii",
        body_mask="<results>/volumes/{dataset}/{volume}.body_mask.nii",
        description="<results>/volumes/{dataset}/{volume}.json",
    log:
        "<logs>/resample_volume/{dataset}/{volume}.log",
    benchmark:
        "<benchmarks>/resample_volume/{dataset}/{volume}.tsv"
    wildcard_constraints:
        dataset=one_of(UNLABELLED),
    conda:
        CPU_ENVIRONMENT
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        settings=prepare_section,
        state=raw_state,
        labels=[],
        code=code_of("resample_volume"),
    shell:
        "python -m workflow_scripts.resample_volume"
        " --settings {params.settings:q}"
        " --image {input.image:q}"
        " {params.labels:q}"
        " --output-image {output.image}"
        " --output-body-mask {output.body_mask}"
        " --output-description {output.description}"
        " 2> {log}"


use rule resample_volume as resample_labelled_volume with:
    """Prepare one volume and its organ labels."""
    input:
        image=raw_image,
        labels=raw_labels,
    output:
        image="<results>/volumes/{dataset}/{volume}.nii",
        body_mask="<results>/volumes/{dataset}/{volume}.body_mask.nii",
        description="<results>/volumes/{dataset}/{volume}.json",
        labels="<results>/volumes/{dataset}/{volume}.labels.nii",
    log:
        "<logs>/resample_labelled_volume/{dataset}/{volume}.log",
    benchmark:
        "<benchmarks>/resample_labelled_volume/{dataset}/{volume}.tsv"
    wildcard_constraints:
        dataset=one_of(LABELLED),
    params:
        settings=prepare_section,
        state=raw_state,
        labels=label_arguments,
        code=code_of("resample_volume"),


rule index_dataset:
    """Gather the prepared volumes of a data set into its index, with checksums and splits."""
    input:
        descriptions_of,
    output:
        "<results>/volumes/{dataset}.csv",
    log:
        "<logs>/index_dataset/{dataset}.log",
    benchmark:
        "<benchmarks>/index_dataset/{dataset}.tsv"
    conda:
        CPU_ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings=dataset_section,
        folder=lambda wildcards: RESULTS / "volumes" / wildcards.dataset,
        made_folder=lambda wildcards: made_folder(wildcards.dataset),
        code=code_of("index_dataset"),
    shell:
        "python -m workflow_scripts.index_dataset"
        " --settings {params.settings:q}"
        " --descriptions-folder {params.folder}"
        " --made-folder {params.made_folder}"
        " --output-index {output}"
        " 2> {log}"
