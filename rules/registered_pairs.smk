# Contract
#   reads    registrations/<registration>/<fixed>__<moving>/: displacement_field.nii.gz, start.json; the original moving
#            volume, its prepared .labels.nii where there are organs, body masks, landmarks/<dataset>.csv
#   writes   beside them errors.json, registered_moving.nii.gz (the moving volume on the fixed one), registered_labels.nii.gz,
#            shared_view.nii.gz, training_moving.nii, training_mask.nii; registrations/<registration>/pairs.csv, the list
#            of the guided pairs
#   used by  train (train_inter reads pairs.csv), report, and the run's end


def pair_landmarks(wildcards):
    """Return the landmarks of a registration's data set, nothing where it has none."""
    dataset = SETTINGS.registrations[wildcards.registration].dataset
    is_known = dataset in PHANTOMS + MOVED or SETTINGS.datasets[dataset].landmarks
    return RESULTS / "landmarks" / f"{dataset}.csv" if is_known else []


def raw_moving(wildcards):
    """Return the moving volume of a pair as its owner stores it."""
    return moving_volume(wildcards).image_path


def moving_volume(wildcards):
    """Return the moving volume of a pair."""
    dataset = SETTINGS.registrations[wildcards.registration].dataset
    return RAW_VOLUMES[dataset][wildcards.moving]


def resample_registered_section(wildcards):
    """Return what bringing a moving volume onto the fixed one may see."""
    dataset = SETTINGS.registrations[wildcards.registration].dataset
    moving = reading_settings(
        moving_volume(wildcards),
        SETTINGS.datasets[dataset],
        largest_gap_mm=SETTINGS.volumes.largest_gap_mm,
    )
    return section_json(spacing_mm=list(SETTINGS.volumes.spacing_mm), moving=moving)


def registered_pairs_files(name, registrations=SETTINGS.registrations):
    """Return one file of every pair of some registrations."""
    return [
        pair_folder(*pair) / name
        for pair in REGISTERED_PAIRS
        if pair[0] in registrations
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


rule score_registration:
    """Measure how far off landmarks are before and after a registration, and whether its map folds."""
    input:
        fixed_body=registered_volume("fixed", ".body_mask.nii"),
        moving_body=registered_volume("moving", ".body_mask.nii"),
        field="<results>/registrations/{registration}/{fixed}__{moving}/displacement_field.nii.gz",
        start=guide_start,
        landmarks=grown(pair_landmarks),
    output:
        "<results>/registrations/{registration}/{fixed}__{moving}/errors.json",
    log:
        "<logs>/score_registration/{registration}/{fixed}__{moving}.log",
    benchmark:
        "<benchmarks>/score_registration/{registration}/{fixed}__{moving}.tsv"
    conda:
        CPU_ENVIRONMENT
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        settings=lambda wildcards: section_json(
            start=SETTINGS.registrations[wildcards.registration].deeds.start,
            headline=SETTINGS.registrations[wildcards.registration].headline,
        ),
        optional=given_options("start", "landmarks"),
        code=code_of("score_registration"),
    shell:
        "python -m workflow_scripts.score_registration"
        " --settings {params.settings:q}"
        " --names {wildcards.fixed} {wildcards.moving}"
        " --fixed-body {input.fixed_body}"
        " --moving-body {input.moving_body}"
        " --field {input.field}"
        " {params.optional:q}"
        " --output {output}"
        " 2> {log}"


rule resample_registered:
    """Bring the original moving volume onto the fixed one, interpolated once at its own spacing."""
    input:
        field="<results>/registrations/{registration}/{fixed}__{moving}/displacement_field.nii.gz",
        moving=raw_moving,
        fixed_body=registered_volume("fixed", ".body_mask.nii"),
        moving_body=registered_volume("moving", ".body_mask.nii"),
    output:
        image="<results>/registrations/{registration}/{fixed}__{moving}/registered_moving.nii.gz",
        shared_view="<results>/registrations/{registration}/{fixed}__{moving}/shared_view.nii.gz",
        training_image="<results>/registrations/{registration}/{fixed}__{moving}/training_moving.nii",
        training_mask="<results>/registrations/{registration}/{fixed}__{moving}/training_mask.nii",
    log:
        "<logs>/resample_registered/{registration}/{fixed}__{moving}.log",
    benchmark:
        "<benchmarks>/resample_registered/{registration}/{fixed}__{moving}.tsv"
    wildcard_constraints:
        registration=one_of(set(SETTINGS.registrations) - set(LABELLED_REGISTRATIONS)),
    priority: 5  # a training may wait for it
    conda:
        CPU_ENVIRONMENT
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=resample_registered_section,
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
        "python -m workflow_scripts.resample_registered"
        " --settings {params.settings:q}"
        " --field {input.field}"
        " --moving {input.moving:q}"
        " {params.labels}"
        " --fixed-body {input.fixed_body}"
        " --moving-body {input.moving_body}"
        " --output-image {output.image}"
        " --output-shared-view {output.shared_view}"
        " --output-training-image {output.training_image}"
        " --output-training-mask {output.training_mask}"
        " 2> {log}"


use rule resample_registered as resample_labelled_registered with:
    """Bring the original moving volume and its organ labels onto the fixed one."""
    input:
        field="<results>/registrations/{registration}/{fixed}__{moving}/displacement_field.nii.gz",
        moving=raw_moving,
        moving_labels=registered_volume("moving", ".labels.nii"),
        fixed_body=registered_volume("fixed", ".body_mask.nii"),
        moving_body=registered_volume("moving", ".body_mask.nii"),
    output:
        image="<results>/registrations/{registration}/{fixed}__{moving}/registered_moving.nii.gz",
        labels="<results>/registrations/{registration}/{fixed}__{moving}/registered_labels.nii.gz",
        shared_view="<results>/registrations/{registration}/{fixed}__{moving}/shared_view.nii.gz",
        training_image="<results>/registrations/{registration}/{fixed}__{moving}/training_moving.nii",
        training_mask="<results>/registrations/{registration}/{fixed}__{moving}/training_mask.nii",
    log:
        "<logs>/resample_labelled_registered/{registration}/{fixed}__{moving}.log",
    benchmark:
        "<benchmarks>/resample_labelled_registered/{registration}/{fixed}__{moving}.tsv"
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
        "<results>/registrations/{registration}/pairs.csv",
    log:
        "<logs>/index_registered/{registration}.log",
    benchmark:
        "<benchmarks>/index_registered/{registration}.tsv"
    wildcard_constraints:
        registration=one_of(GUIDED),
    priority: 5  # a training may wait for it
    conda:
        CPU_ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings=section_json(),
        pairs=lambda wildcards: [
            f"--pair {fixed} {moving} {pair_folder(name, fixed, moving)}"
            for name, fixed, moving in REGISTERED_PAIRS
            if name == wildcards.registration
        ],
        code=code_of("index_registered"),
    shell:
        "python -m workflow_scripts.index_registered"
        " --settings {params.settings:q}"
        " {params.pairs}"
        " --output {output}"
        " 2> {log}"
