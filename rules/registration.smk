# Contract: prepared volumes with labels and the program deeds -> registrations/<registration>/<fixed>__<moving>/:
# pair_displacements.dat with its description, the moving volume and its labels on the fixed grid, overlap.json.

REGISTERED_PAIRS = [
    (name, fixed, moving)
    for name, registration in sorted(SETTINGS.registrations.items())
    for fixed, moving in registration.pairs
]


def registration_section(wildcards):
    """Return what the registration of a pair may see."""
    registration = SETTINGS.registrations[wildcards.registration]
    return section_json(
        deeds=registration.deeds, organs=SETTINGS.datasets[registration.dataset].organs
    )


def registered_volume(side, suffix):
    """Return the function that names a file of the fixed or the moving volume of a pair."""

    def path(wildcards):
        dataset = SETTINGS.registrations[wildcards.registration].dataset
        return RESULTS / "volumes" / dataset / f"{wildcards[side]}{suffix}"

    return path


def registered_pairs_files(name):
    """Return one file of every registered pair."""
    return [
        RESULTS / "registrations" / registration / f"{fixed}__{moving}" / name
        for registration, fixed, moving in REGISTERED_PAIRS
    ]


def registered_images(place):
    """Return the fixed (1) or the moving (2) prepared volumes of all registered pairs."""
    return [
        RESULTS
        / "volumes"
        / SETTINGS.registrations[pair[0]].dataset
        / f"{pair[place]}.nii"
        for pair in REGISTERED_PAIRS
    ]


rule register_deeds:
    """Register one pair of volumes and measure how well their organs agree before and after."""
    input:
        program=RESULTS / "deeds" / "deeds",
        fixed=registered_volume("fixed", ".nii"),
        moving=registered_volume("moving", ".nii"),
        fixed_labels=registered_volume("fixed", ".labels.nii"),
        moving_labels=registered_volume("moving", ".labels.nii"),
    output:
        displacements=RESULTS
        / "registrations"
        / "{registration}"
        / "{fixed}__{moving}"
        / "pair_displacements.dat",
        sidecar=RESULTS
        / "registrations"
        / "{registration}"
        / "{fixed}__{moving}"
        / "pair_displacements.json",
        image=RESULTS
        / "registrations"
        / "{registration}"
        / "{fixed}__{moving}"
        / "pair_deformed.nii.gz",
        labels=RESULTS
        / "registrations"
        / "{registration}"
        / "{fixed}__{moving}"
        / "pair_deformed_seg.nii.gz",
        field=RESULTS
        / "registrations"
        / "{registration}"
        / "{fixed}__{moving}"
        / "displacement_field.nii.gz",
        overlap=RESULTS
        / "registrations"
        / "{registration}"
        / "{fixed}__{moving}"
        / "overlap.json",
    log:
        RESULTS / "logs" / "register_deeds" / "{registration}" / "{fixed}__{moving}.log",
    benchmark:
        RESULTS
        / "benchmarks"
        / "register_deeds"
        / "{registration}"
        / "{fixed}__{moving}.tsv"
    wildcard_constraints:
        registration=one_of(SETTINGS.registrations),
        fixed=one_of({fixed for _, fixed, _ in REGISTERED_PAIRS}),
        moving=one_of({moving for _, _, moving in REGISTERED_PAIRS}),
    conda:
        CPU_ENVIRONMENT
    threads: 2
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        settings=registration_section,
        stem=lambda wildcards, output: Path(output.overlap).with_name("pair"),
        code=code_of("register_deeds"),
    shell:
        "python -m workflow_scripts.register_deeds --settings {params.settings:q} --program {input.program}"
        " --fixed {input.fixed} --moving {input.moving} --fixed-labels {input.fixed_labels}"
        " --moving-labels {input.moving_labels}"
        " --names {wildcards.registration} {wildcards.fixed} {wildcards.moving} --threads {threads}"
        " --output-stem {params.stem} --output-field {output.field} --output-overlap {output.overlap} 2> {log}"
