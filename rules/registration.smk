# Contract
#   reads    volumes/<dataset>/, the program deeds/deeds; where a guide is set, the list of embeddings and the guide's
#            models/<model>/trained.safetensors
#   writes   registrations/<registration>/<fixed>__<moving>/: correspondences.csv, start.json and start.tfm of guided
#            pairs; pair_displacements.dat and .json, pair_deformed.nii.gz, pair_deformed_seg.nii.gz where there are
#            organs, displacement_field.nii.gz, the whole map, and overlap.json
#   used by  registered_pairs and report

from anatomical_embedding.datasets.pairs import find_pairs
from anatomical_embedding.datasets.split import assign_splits


def pairs_of(registration):
    """Return the (fixed, moving) volumes of a registration: those named, or those that its rule finds."""
    settings = SETTINGS.registrations[registration]
    if isinstance(settings.pairs, tuple):
        return list(settings.pairs)
    volumes = RAW_VOLUMES[settings.dataset].values()
    splits = assign_splits(
        (volume.patient_id for volume in volumes),
        settings=SETTINGS.datasets[settings.dataset].split,
    )
    return find_pairs(volumes, splits=splits, settings=settings.pairs)


REGISTERED_PAIRS = [
    (name, fixed, moving)
    for name in sorted(SETTINGS.registrations)
    for fixed, moving in pairs_of(name)
]
LAST_OF_A_PAIR = ("errors.json", "registered_moving.nii.gz")
GUIDED = [name for name in SETTINGS.registrations if SETTINGS.registrations[name].guide]
LABELLED_REGISTRATIONS = [
    name
    for name in SETTINGS.registrations
    if SETTINGS.datasets[SETTINGS.registrations[name].dataset].organs
]


wildcard_constraints:
    registration=one_of(SETTINGS.registrations),
    fixed=one_of({fixed for _, fixed, _ in REGISTERED_PAIRS}),
    moving=one_of({moving for _, _, moving in REGISTERED_PAIRS}),


def pair_folder(registration, fixed, moving):
    """Return the folder of a pair."""
    return RESULTS / "registrations" / registration / f"{fixed}__{moving}"


def registration_section(wildcards):
    """Return what the registration of a pair may see."""
    registration = SETTINGS.registrations[wildcards.registration]
    volumes = RAW_VOLUMES[registration.dataset]
    modalities = [volumes[wildcards[side]].modality for side in ("fixed", "moving")]
    return section_json(
        deeds=registration.deeds.without_doubt(),  # the workflow writes none
        organs=SETTINGS.datasets[registration.dataset].organs,
        modalities=modalities,
    )


def guide_of(wildcards):
    """Return the settings of a registration's guide."""
    return SETTINGS.registrations[wildcards.registration].guide


def registered_volume(side, suffix):
    """Return the function that names a file of the fixed or the moving volume of a pair."""

    def path(wildcards):
        dataset = SETTINGS.registrations[wildcards.registration].dataset
        return RESULTS / "volumes" / dataset / f"{wildcards[side]}{suffix}"

    return path


def guide_store(wildcards):
    """Return the list of embeddings of a registration's volumes."""
    registration = SETTINGS.registrations[wildcards.registration]
    return stores_of(registration.guide.model, "trained", registration.dataset)


def grown(list_of):
    """Return an input function for a list that grows with its data set, of which a pair needs what stays the same.

    It is `ancient` for a pair that a whole run has been through. Before that it is not: Snakemake 9.27 asks nothing
    about what lies behind an ancient input of a file that is made again, so that a missing file, and the report, would
    stay missing without a word (its issue 4166).
    """

    def path(wildcards):
        pair = pair_folder(wildcards.registration, wildcards.fixed, wildcards.moving)
        ended = [RESULTS / "report.html"] + [pair / name for name in LAST_OF_A_PAIR]
        whole = all(file.exists() for file in ended)
        return ancient(list_of(wildcards)) if whole else list_of(wildcards)

    return path


def guide_start(wildcards):
    """Return the start of a guided pair, nothing for others."""
    if not guide_of(wildcards):
        return []
    names = (wildcards.registration, wildcards.fixed, wildcards.moving)
    return pair_folder(*names) / "start.json"


rule match_grid:
    """Match a lattice of points between two volumes by their embeddings, there and back.

    The list of embeddings grows with the data set: it is followed by the checkpoint and the two volumes instead.
    """
    input:
        stores=grown(guide_store),
        checkpoint=lambda wildcards: f"<results>/models/{guide_of(wildcards).model}/trained.safetensors",
        fixed=registered_volume("fixed", ".nii"),
        moving=registered_volume("moving", ".nii"),
        fixed_body=registered_volume("fixed", ".body_mask.nii"),
        moving_body=registered_volume("moving", ".body_mask.nii"),
    output:
        "<results>/registrations/{registration}/{fixed}__{moving}/correspondences.csv",
    log:
        "<logs>/match_grid/{registration}/{fixed}__{moving}.log",
    benchmark:
        "<benchmarks>/match_grid/{registration}/{fixed}__{moving}.tsv"
    wildcard_constraints:
        registration=one_of(GUIDED),
    priority: 5  # a training may wait for it
    conda:
        TORCH_ENVIRONMENT
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=lambda wildcards: section_json(
            grid=guide_of(wildcards).grid, matching=SETTINGS.matching
        ),
        export=export_section,
        code=code_of("match_grid"),
    shell:
        "python -m workflow_scripts.match_grid"
        " --settings {params.settings:q}"
        " --stores {input.stores}"
        " --names {wildcards.fixed} {wildcards.moving}"
        " --fixed-body {input.fixed_body}"
        " --moving-body {input.moving_body}"
        " --threads {threads}"
        " --output {output}"
        " 2> {log}"


rule fit_affine:
    """Fit the map between two volumes to their correspondences, or mark the pair as failed with the reason."""
    input:
        correspondences="<results>/registrations/{registration}/{fixed}__{moving}/correspondences.csv",
        fixed=registered_volume("fixed", ".nii"),
        moving=registered_volume("moving", ".nii"),
        fixed_body=registered_volume("fixed", ".body_mask.nii"),
        moving_body=registered_volume("moving", ".body_mask.nii"),
    output:
        start="<results>/registrations/{registration}/{fixed}__{moving}/start.json",
        transform="<results>/registrations/{registration}/{fixed}__{moving}/start.tfm",
    log:
        "<logs>/fit_affine/{registration}/{fixed}__{moving}.log",
    benchmark:
        "<benchmarks>/fit_affine/{registration}/{fixed}__{moving}.tsv"
    priority: 5  # a training may wait for it
    conda:
        CPU_ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings=lambda wildcards: section_of(guide_of(wildcards).fit),
        code=code_of("fit_affine"),
    shell:
        "python -m workflow_scripts.fit_affine"
        " --settings {params.settings:q}"
        " --correspondences {input.correspondences}"
        " --fixed {input.fixed}"
        " --moving {input.moving}"
        " --fixed-body {input.fixed_body}"
        " --moving-body {input.moving_body}"
        " --output {output.start}"
        " --output-transform {output.transform}"
        " 2> {log}"


rule register_deeds:
    """Register one pair of volumes from where they lie or from its start; the map is written as a whole."""
    input:
        program="<results>/deeds/deeds",
        fixed=registered_volume("fixed", ".nii"),
        moving=registered_volume("moving", ".nii"),
        start=guide_start,
    output:
        displacements="<results>/registrations/{registration}/{fixed}__{moving}/pair_displacements.dat",
        sidecar="<results>/registrations/{registration}/{fixed}__{moving}/pair_displacements.json",
        image="<results>/registrations/{registration}/{fixed}__{moving}/pair_deformed.nii.gz",
        field="<results>/registrations/{registration}/{fixed}__{moving}/displacement_field.nii.gz",
        overlap="<results>/registrations/{registration}/{fixed}__{moving}/overlap.json",
    log:
        "<logs>/register_deeds/{registration}/{fixed}__{moving}.log",
    benchmark:
        "<benchmarks>/register_deeds/{registration}/{fixed}__{moving}.tsv"
    wildcard_constraints:
        registration=one_of(set(SETTINGS.registrations) - set(LABELLED_REGISTRATIONS)),
    priority: 5  # a training may wait for it
    conda:
        CPU_ENVIRONMENT
    threads: 2
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        settings=registration_section,
        stem=lambda wildcards, output: Path(output.overlap).with_name("pair"),
        optional=given_options("start", "fixed_labels", "moving_labels"),
        code=code_of("register_deeds"),
    shell:
        "python -m workflow_scripts.register_deeds"
        " --settings {params.settings:q}"
        " --program {input.program}"
        " --fixed {input.fixed}"
        " --moving {input.moving}"
        " {params.optional:q}"
        " --names {wildcards.registration} {wildcards.fixed} {wildcards.moving}"
        " --threads {threads}"
        " --output-stem {params.stem}"
        " --output-field {output.field}"
        " --output-overlap {output.overlap}"
        " 2> {log}"


use rule register_deeds as register_labelled_deeds with:
    """Register one pair of volumes with organ labels, which are carried along and compared."""
    input:
        program="<results>/deeds/deeds",
        fixed=registered_volume("fixed", ".nii"),
        moving=registered_volume("moving", ".nii"),
        fixed_labels=registered_volume("fixed", ".labels.nii"),
        moving_labels=registered_volume("moving", ".labels.nii"),
        start=guide_start,
    output:
        displacements="<results>/registrations/{registration}/{fixed}__{moving}/pair_displacements.dat",
        sidecar="<results>/registrations/{registration}/{fixed}__{moving}/pair_displacements.json",
        image="<results>/registrations/{registration}/{fixed}__{moving}/pair_deformed.nii.gz",
        labels="<results>/registrations/{registration}/{fixed}__{moving}/pair_deformed_seg.nii.gz",
        field="<results>/registrations/{registration}/{fixed}__{moving}/displacement_field.nii.gz",
        overlap="<results>/registrations/{registration}/{fixed}__{moving}/overlap.json",
    log:
        "<logs>/register_labelled_deeds/{registration}/{fixed}__{moving}.log",
    benchmark:
        "<benchmarks>/register_labelled_deeds/{registration}/{fixed}__{moving}.tsv"
    wildcard_constraints:
        registration=one_of(LABELLED_REGISTRATIONS),
