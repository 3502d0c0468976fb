# Contract: prepared volumes, embeddings where a guide is set, and the program deeds -> registrations/<registration>/:
# for each <fixed>__<moving> correspondences.csv, start.json, the whole map as displacement_field.nii.gz, overlap.json,
# errors.json and the moving volume on the fixed one; for guided pairs the list pairs.csv that a training reads.

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
GUIDED = [name for name in SETTINGS.registrations if SETTINGS.registrations[name].guide]
LABELLED_REGISTRATIONS = [
    name
    for name in SETTINGS.registrations
    if SETTINGS.datasets[SETTINGS.registrations[name].dataset].organs
]
PAIR = RESULTS / "registrations" / "{registration}" / "{fixed}__{moving}"


wildcard_constraints:
    registration=one_of(SETTINGS.registrations),
    fixed=one_of({fixed for _, fixed, _ in REGISTERED_PAIRS}),
    moving=one_of({moving for _, _, moving in REGISTERED_PAIRS}),


def registration_section(wildcards):
    """Return what the registration of a pair may see."""
    registration = SETTINGS.registrations[wildcards.registration]
    return section_json(
        deeds=registration.deeds, organs=SETTINGS.datasets[registration.dataset].organs
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


def pair_landmarks(wildcards):
    """Return the landmarks of a registration's data set, nothing where it has none."""
    dataset = SETTINGS.registrations[wildcards.registration].dataset
    is_known = dataset in PHANTOMS + MOVED or SETTINGS.datasets[dataset].landmarks
    return RESULTS / "landmarks" / f"{dataset}.csv" if is_known else []


def given_options(*names):
    """Return the function that gives `--name=path` for the inputs that a pair has."""

    def options(wildcards, input):
        return [
            f"--{name.replace('_', '-')}={input[name]}"
            for name in names
            if input.get(name)
        ]

    return options


def guide_store(wildcards):
    """Return the list of embeddings of a registration's volumes."""
    registration = SETTINGS.registrations[wildcards.registration]
    return (
        RESULTS
        / "embeddings"
        / registration.guide.model
        / "trained"
        / f"{registration.dataset}.csv"
    )


def guide_start(wildcards):
    """Return the start of a guided pair, nothing for others."""
    return str(PAIR / "start.json").format(**wildcards) if guide_of(wildcards) else []


def raw_moving(wildcards):
    """Return the moving volume of a pair as its owner stores it."""
    dataset = SETTINGS.registrations[wildcards.registration].dataset
    return RAW_VOLUMES[dataset][wildcards.moving].image_path


def registered_pairs_files(name, registrations=SETTINGS.registrations):
    """Return one file of every pair of some registrations."""
    return [
        RESULTS / "registrations" / registration / f"{fixed}__{moving}" / name
        for registration, fixed, moving in REGISTERED_PAIRS
        if registration in registrations
    ]


def registration_files():
    """Return what the report shows of all registered pairs."""
    names = (
        "overlap.json",
        "errors.json",
        "pair_deformed.nii.gz",
        "displacement_field.nii.gz",
    )
    files = [path for name in names for path in registered_pairs_files(name)]
    for name in ("start.json", "correspondences.csv"):
        files += registered_pairs_files(name, GUIDED)
    return files


rule match_grid:
    """Match a lattice of points between two volumes by their embeddings, there and back.

    The list of embeddings grows with the data set: it is followed by the checkpoint and the two volumes instead.
    """
    input:
        stores=ancient(guide_store),
        checkpoint=lambda wildcards: RESULTS
        / "models"
        / guide_of(wildcards).model
        / "trained.safetensors",
        fixed=registered_volume("fixed", ".nii"),
        moving=registered_volume("moving", ".nii"),
        fixed_body=registered_volume("fixed", ".body_mask.nii"),
        moving_body=registered_volume("moving", ".body_mask.nii"),
    output:
        PAIR / "correspondences.csv",
    log:
        RESULTS / "logs" / "match_grid" / "{registration}" / "{fixed}__{moving}.log",
    benchmark:
        RESULTS
        / "benchmarks"
        / "match_grid"
        / "{registration}"
        / "{fixed}__{moving}.tsv"
    wildcard_constraints:
        registration=one_of(GUIDED),
    conda:
        TORCH_ENVIRONMENT
    threads: 1
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
        "python -m workflow_scripts.match_grid --settings {params.settings:q} --stores {input.stores}"
        " --names {wildcards.fixed} {wildcards.moving} --fixed-body {input.fixed_body}"
        " --moving-body {input.moving_body} --threads {threads} --output {output} 2> {log}"


rule fit_affine:
    """Fit the map between two volumes to their correspondences, or mark the pair as failed with the reason."""
    input:
        correspondences=PAIR / "correspondences.csv",
        fixed_body=registered_volume("fixed", ".body_mask.nii"),
        moving_body=registered_volume("moving", ".body_mask.nii"),
    output:
        start=PAIR / "start.json",
        transform=PAIR / "start.tfm",
    log:
        RESULTS / "logs" / "fit_affine" / "{registration}" / "{fixed}__{moving}.log",
    benchmark:
        RESULTS
        / "benchmarks"
        / "fit_affine"
        / "{registration}"
        / "{fixed}__{moving}.tsv"
    conda:
        CPU_ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings=lambda wildcards: section_json(
            **guide_of(wildcards).fit.model_dump(mode="json")
        ),
        code=code_of("fit_affine"),
    shell:
        "python -m workflow_scripts.fit_affine --settings {params.settings:q}"
        " --correspondences {input.correspondences} --fixed-body {input.fixed_body}"
        " --moving-body {input.moving_body} --output {output.start} --output-transform {output.transform} 2> {log}"


rule register_deeds:
    """Register one pair of volumes from where they lie or from its start; the map is written as a whole."""
    input:
        program=RESULTS / "deeds" / "deeds",
        fixed=registered_volume("fixed", ".nii"),
        moving=registered_volume("moving", ".nii"),
        start=guide_start,
    output:
        displacements=PAIR / "pair_displacements.dat",
        sidecar=PAIR / "pair_displacements.json",
        image=PAIR / "pair_deformed.nii.gz",
        field=PAIR / "displacement_field.nii.gz",
        overlap=PAIR / "overlap.json",
    log:
        RESULTS / "logs" / "register_deeds" / "{registration}" / "{fixed}__{moving}.log",
    benchmark:
        RESULTS
        / "benchmarks"
        / "register_deeds"
        / "{registration}"
        / "{fixed}__{moving}.tsv"
    wildcard_constraints:
        registration=one_of(set(SETTINGS.registrations) - set(LABELLED_REGISTRATIONS)),
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
        "python -m workflow_scripts.register_deeds --settings {params.settings:q} --program {input.program}"
        " --fixed {input.fixed} --moving {input.moving} {params.optional:q}"
        " --names {wildcards.registration} {wildcards.fixed} {wildcards.moving} --threads {threads}"
        " --output-stem {params.stem} --output-field {output.field} --output-overlap {output.overlap} 2> {log}"


use rule register_deeds as register_labelled_deeds with:
    input:
        program=RESULTS / "deeds" / "deeds",
        fixed=registered_volume("fixed", ".nii"),
        moving=registered_volume("moving", ".nii"),
        fixed_labels=registered_volume("fixed", ".labels.nii"),
        moving_labels=registered_volume("moving", ".labels.nii"),
        start=guide_start,
    output:
        displacements=PAIR / "pair_displacements.dat",
        sidecar=PAIR / "pair_displacements.json",
        image=PAIR / "pair_deformed.nii.gz",
        labels=PAIR / "pair_deformed_seg.nii.gz",
        field=PAIR / "displacement_field.nii.gz",
        overlap=PAIR / "overlap.json",
    log:
        RESULTS
        / "logs"
        / "register_labelled_deeds"
        / "{registration}"
        / "{fixed}__{moving}.log",
    benchmark:
        RESULTS
        / "benchmarks"
        / "register_labelled_deeds"
        / "{registration}"
        / "{fixed}__{moving}.tsv"
    wildcard_constraints:
        registration=one_of(LABELLED_REGISTRATIONS),


rule score_registration:
    """Measure how far off landmarks are before and after a registration, and whether its map folds."""
    input:
        fixed_body=registered_volume("fixed", ".body_mask.nii"),
        moving_body=registered_volume("moving", ".body_mask.nii"),
        field=PAIR / "displacement_field.nii.gz",
        start=guide_start,
        landmarks=ancient(pair_landmarks),
    output:
        PAIR / "errors.json",
    log:
        RESULTS
        / "logs"
        / "score_registration"
        / "{registration}"
        / "{fixed}__{moving}.log",
    benchmark:
        RESULTS
        / "benchmarks"
        / "score_registration"
        / "{registration}"
        / "{fixed}__{moving}.tsv"
    conda:
        CPU_ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        settings=lambda wildcards: section_json(
            start=SETTINGS.registrations[wildcards.registration].deeds.start
        ),
        optional=given_options("start", "landmarks"),
        code=code_of("score_registration"),
    shell:
        "python -m workflow_scripts.score_registration --settings {params.settings:q}"
        " --names {wildcards.fixed} {wildcards.moving} --fixed-body {input.fixed_body}"
        " --moving-body {input.moving_body} --field {input.field} {params.optional:q} --output {output} 2> {log}"


rule resample_registered:
    """Bring the original moving volume onto the fixed one, interpolated once at its own spacing."""
    input:
        field=PAIR / "displacement_field.nii.gz",
        moving=raw_moving,
        fixed_body=registered_volume("fixed", ".body_mask.nii"),
        moving_body=registered_volume("moving", ".body_mask.nii"),
    output:
        image=PAIR / "registered_moving.nii.gz",
        shared_view=PAIR / "shared_view.nii.gz",
        training_image=PAIR / "training_moving.nii",
        training_mask=PAIR / "training_mask.nii",
    log:
        RESULTS
        / "logs"
        / "resample_registered"
        / "{registration}"
        / "{fixed}__{moving}.log",
    benchmark:
        RESULTS
        / "benchmarks"
        / "resample_registered"
        / "{registration}"
        / "{fixed}__{moving}.tsv"
    wildcard_constraints:
        registration=one_of(set(SETTINGS.registrations) - set(LABELLED_REGISTRATIONS)),
    conda:
        CPU_ENVIRONMENT
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=section_json(spacing_mm=list(SETTINGS.volumes.spacing_mm)),
        labels=lambda wildcards, input, output: [
            f"--{option}={files[name]}"
            for option, name, files in (
                ("moving-labels", "moving_labels", input),
                ("output-labels", "labels", output),
            )
            if files.get(name)
        ],
        code=code_of("resample_registered"),
    shell:
        "python -m workflow_scripts.resample_registered --settings {params.settings:q} --field {input.field}"
        " --moving {input.moving:q} {params.labels} --fixed-body {input.fixed_body} --moving-body {input.moving_body}"
        " --output-image {output.image} --output-shared-view {output.shared_view}"
        " --output-training-image {output.training_image} --output-training-mask {output.training_mask} 2> {log}"


use rule resample_registered as resample_labelled_registered with:
    input:
        field=PAIR / "displacement_field.nii.gz",
        moving=raw_moving,
        moving_labels=registered_volume("moving", ".labels.nii"),
        fixed_body=registered_volume("fixed", ".body_mask.nii"),
        moving_body=registered_volume("moving", ".body_mask.nii"),
    output:
        image=PAIR / "registered_moving.nii.gz",
        labels=PAIR / "registered_labels.nii.gz",
        shared_view=PAIR / "shared_view.nii.gz",
        training_image=PAIR / "training_moving.nii",
        training_mask=PAIR / "training_mask.nii",
    log:
        RESULTS
        / "logs"
        / "resample_labelled_registered"
        / "{registration}"
        / "{fixed}__{moving}.log",
    benchmark:
        RESULTS
        / "benchmarks"
        / "resample_labelled_registered"
        / "{registration}"
        / "{fixed}__{moving}.tsv"
    wildcard_constraints:
        registration=one_of(LABELLED_REGISTRATIONS),


rule index_registered:
    """Gather the guided pairs of a registration, with the status of each, into the list that a training reads."""
    input:
        starts=lambda wildcards: registered_pairs_files(
            "start.json", [wildcards.registration]
        ),
        images=lambda wildcards: registered_pairs_files(
            "training_moving.nii", [wildcards.registration]
        ),
    output:
        RESULTS / "registrations" / "{registration}" / "pairs.csv",
    log:
        RESULTS / "logs" / "index_registered" / "{registration}.log",
    benchmark:
        RESULTS / "benchmarks" / "index_registered" / "{registration}.tsv"
    wildcard_constraints:
        registration=one_of(GUIDED),
    conda:
        CPU_ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings=section_json(),
        pairs=lambda wildcards: [
            f"--pair {fixed} {moving} {RESULTS / 'registrations' / name / f'{fixed}__{moving}'}"
            for name, fixed, moving in REGISTERED_PAIRS
            if name == wildcards.registration
        ],
        code=code_of("index_registered"),
    shell:
        "python -m workflow_scripts.index_registered --settings {params.settings:q} {params.pairs}"
        " --output {output} 2> {log}"
