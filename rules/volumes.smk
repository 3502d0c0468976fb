# Contract: raw volumes, made or moved where asked -> volumes/<dataset>/<volume>.nii with body mask and description -> volumes/<dataset>.csv
# (the index), landmarks/<dataset>.csv.

LABELLED = [name for name in DATASETS if SETTINGS.datasets[name].organs]
PAIRED_PHANTOMS = [
    name for name in PHANTOMS if "mr" in SETTINGS.datasets[name].modalities
]
SINGLE_PHANTOMS = [name for name in PHANTOMS if name not in PAIRED_PHANTOMS]
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
        geometry=getattr(dataset, "geometry", None),
        hu_offset=getattr(dataset, "hu_offset", None),
    )


def dataset_section(wildcards):
    """Return what the stages of a whole data set may see."""
    return section_json(dataset=SETTINGS.datasets[wildcards.dataset])


def geometry_argument(wildcards):
    """Return the argument that says which form places the scans of a data set, where its owner says so."""
    geometry = SETTINGS.datasets[wildcards.dataset].geometry
    return [f"--geometry={geometry}"] if geometry else []


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


def unmoved_image(wildcards):
    """Return the MR of a pair as its owner stores it."""
    return (
        Path(SETTINGS.datasets[wildcards.dataset].root) / f"{wildcards.volume}.nii.gz"
    )


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


def phantom_outputs(wildcards, output):
    """Return the arguments that name the files of a synthetic body."""
    return [
        f"--output-{name.replace('_', '-')}={path}" for name, path in output.items()
    ]


def phantom_section(wildcards):
    """Return what a synthetic body depends on."""
    return section_json(
        **SETTINGS.datasets[wildcards.dataset]
        .subject_settings()
        .model_dump(mode="json")
    )


rule make_phantom:
    """Make one synthetic body: its CT, organ labels, exactly known landmarks and lesions."""
    output:
        ct=RESULTS / "phantoms" / "{dataset}" / "{subject}" / "ct.nii.gz",
        labels=RESULTS / "phantoms" / "{dataset}" / "{subject}" / "labels.nii.gz",
        landmarks=RESULTS / "phantoms" / "{dataset}" / "{subject}" / "landmarks.csv",
        lesions=RESULTS / "phantoms" / "{dataset}" / "{subject}" / "lesions.csv",
    log:
        RESULTS / "logs" / "make_phantom" / "{dataset}" / "{subject}.log",
    benchmark:
        RESULTS / "benchmarks" / "make_phantom" / "{dataset}" / "{subject}.tsv"
    wildcard_constraints:
        dataset=one_of(SINGLE_PHANTOMS),
        subject=r"phantom_\d+",
    conda:
        CPU_ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        settings=phantom_section,
        index=lambda wildcards: int(wildcards.subject.removeprefix("phantom_")),
        outputs=phantom_outputs,
        code=code_of("make_phantom"),
    shell:
        "python -m workflow_scripts.make_phantom --settings {params.settings:q} --subject-index {params.index}"
        " {params.outputs:q} 2> {log}"


use rule make_phantom as make_phantom_pair with:
    output:
        ct=RESULTS / "phantoms" / "{dataset}" / "{subject}" / "ct.nii.gz",
        labels=RESULTS / "phantoms" / "{dataset}" / "{subject}" / "labels.nii.gz",
        mr=RESULTS / "phantoms" / "{dataset}" / "{subject}" / "mr.nii.gz",
        mr_labels=RESULTS / "phantoms" / "{dataset}" / "{subject}" / "mr_labels.nii.gz",
        landmarks=RESULTS / "phantoms" / "{dataset}" / "{subject}" / "landmarks.csv",
        lesions=RESULTS / "phantoms" / "{dataset}" / "{subject}" / "lesions.csv",
    log:
        RESULTS / "logs" / "make_phantom_pair" / "{dataset}" / "{subject}.log",
    benchmark:
        RESULTS / "benchmarks" / "make_phantom_pair" / "{dataset}" / "{subject}.tsv"
    wildcard_constraints:
        dataset=one_of(PAIRED_PHANTOMS),
        subject=r"phantom_\d+",


use rule make_phantom as make_tracking_phantom with:
    output:
        ct=RESULTS / "phantoms" / "{dataset}" / "{patient}_01_01.nii.gz",
        follow_up=RESULTS / "phantoms" / "{dataset}" / "{patient}_02_01.nii.gz",
        landmarks=RESULTS / "phantoms" / "{dataset}" / "{patient}.landmarks.csv",
        lesions=RESULTS / "phantoms" / "{dataset}" / "{patient}.lesions.csv",
    log:
        RESULTS / "logs" / "make_tracking_phantom" / "{dataset}" / "{patient}.log",
    benchmark:
        RESULTS / "benchmarks" / "make_tracking_phantom" / "{dataset}" / "{patient}.tsv"
    wildcard_constraints:
        dataset=one_of(TRACKED_PHANTOMS),
        patient=r"\d{6}",
    params:
        settings=phantom_section,
        index=lambda wildcards: int(wildcards.patient) - 1,
        outputs=phantom_outputs,
        code=code_of("make_phantom"),


rule move_volume:
    """Move the MR of a pair by a map drawn from a seed, so that what a registration should find is known."""
    input:
        unmoved_image,
    output:
        image=RESULTS / "moved" / "{dataset}" / "{volume}.nii.gz",
        move=RESULTS / "moved" / "{dataset}" / "{volume}.json",
    log:
        RESULTS / "logs" / "move_volume" / "{dataset}" / "{volume}.log",
    benchmark:
        RESULTS / "benchmarks" / "move_volume" / "{dataset}" / "{volume}.tsv"
    wildcard_constraints:
        dataset=one_of(MOVED),
    conda:
        CPU_ENVIRONMENT
    threads: 1
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        settings=lambda wildcards: section_json(
            **SETTINGS.datasets[wildcards.dataset].known_move.model_dump(mode="json")
        ),
        geometry=geometry_argument,
        state=lambda wildcards: state_of([unmoved_image(wildcards)]),
        code=code_of("move_volume"),
    shell:
        "python -m workflow_scripts.move_volume --settings {params.settings:q} {params.geometry} --image {input:q}"
        " --name {wildcards.volume} --output-image {output.image} --output-move {output.move} 2> {log}"


rule resample_volume:
    """Prepare one volume: orient, mask the body, resample and crop."""
    input:
        image=raw_image,
    output:
        image=RESULTS / "volumes" / "{dataset}" / "{volume}.nii",
        body_mask=RESULTS / "volumes" / "{dataset}" / "{volume}.body_mask.nii",
        description=RESULTS / "volumes" / "{dataset}" / "{volume}.json",
    log:
        RESULTS / "logs" / "resample_volume" / "{dataset}" / "{volume}.log",
    benchmark:
        RESULTS / "benchmarks" / "resample_volume" / "{dataset}" / "{volume}.tsv"
    wildcard_constraints:
        dataset=one_of(UNLABELLED),
    conda:
        CPU_ENVIRONMENT
    threads: 1
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        settings=prepare_section,
        state=raw_state,
        labels=[],
        code=code_of("resample_volume"),
    shell:
        "python -m workflow_scripts.resample_volume --settings {params.settings:q} --image {input.image:q}"
        " {params.labels:q} --output-image {output.image} --output-body-mask {output.body_mask}"
        " --output-description {output.description} 2> {log}"


use rule resample_volume as resample_labelled_volume with:
    input:
        image=raw_image,
        labels=raw_labels,
    output:
        image=RESULTS / "volumes" / "{dataset}" / "{volume}.nii",
        body_mask=RESULTS / "volumes" / "{dataset}" / "{volume}.body_mask.nii",
        description=RESULTS / "volumes" / "{dataset}" / "{volume}.json",
        labels=RESULTS / "volumes" / "{dataset}" / "{volume}.labels.nii",
    log:
        RESULTS / "logs" / "resample_labelled_volume" / "{dataset}" / "{volume}.log",
    benchmark:
        RESULTS
        / "benchmarks"
        / "resample_labelled_volume"
        / "{dataset}"
        / "{volume}.tsv"
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
        RESULTS / "volumes" / "{dataset}.csv",
    log:
        RESULTS / "logs" / "index_dataset" / "{dataset}.log",
    benchmark:
        RESULTS / "benchmarks" / "index_dataset" / "{dataset}.tsv"
    conda:
        CPU_ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings=dataset_section,
        folder=lambda wildcards: RESULTS / "volumes" / wildcards.dataset,
        made_folder=lambda wildcards: made_folder(wildcards.dataset),
        code=code_of("index_dataset"),
    shell:
        "python -m workflow_scripts.index_dataset --settings {params.settings:q}"
        " --descriptions-folder {params.folder} --made-folder {params.made_folder}"
        " --output-index {output} 2> {log}"
