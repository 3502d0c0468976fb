# Contract
#   reads    settings alone; for moved scans the MRs of a folder of CT/MR pairs
#   writes   phantoms/<dataset>/<subject>/: ct.nii.gz, labels.nii.gz, mr.nii.gz, mr_labels.nii.gz, landmarks.csv,
#            lesions.csv; phantoms/<dataset>/<patient>_<time>_01.nii.gz with .landmarks.csv and .lesions.csv of the
#            patient; moved/<dataset>/<volume>.nii.gz with its known move .json
#   used by  volumes (raw scans), evaluation (landmarks), tracking (lesions)

PAIRED_PHANTOMS = [
    name for name in PHANTOMS if "mr" in SETTINGS.datasets[name].modalities
]
SINGLE_PHANTOMS = [name for name in PHANTOMS if name not in PAIRED_PHANTOMS]


def phantom_outputs(wildcards, output):
    """Return the arguments that name the files of a synthetic body."""
    return [
        f"--output-{name.replace('_', '-')}={path}" for name, path in output.items()
    ]


def phantom_section(wildcards):
    """Return what a synthetic body depends on."""
    return section_of(SETTINGS.datasets[wildcards.dataset].subject_settings())


def geometry_argument(wildcards):
    """Return the argument that says which form places the scans of a data set, where its owner says so."""
    geometry = SETTINGS.datasets[wildcards.dataset].geometry
    return [f"--geometry={geometry}"] if geometry else []


def unmoved_image(wildcards):
    """Return the MR of a pair as its owner stores it."""
    return (
        Path(SETTINGS.datasets[wildcards.dataset].root) / f"{wildcards.volume}.nii.gz"
    )


rule make_phantom:
    """Make one synthetic body: its CT, organ labels, exactly known landmarks and lesions."""
    output:
        ct="<results>/phantoms/{dataset}/{subject}/ct.nii.gz",
        labels="<results>/phantoms/{dataset}/{subject}/labels.nii.gz",
        landmarks="<results>/phantoms/{dataset}/{subject}/landmarks.csv",
        lesions="<results>/phantoms/{dataset}/{subject}/lesions.csv",
    log:
        "<logs>/make_phantom/{dataset}/{subject}.log",
    benchmark:
        "<benchmarks>/make_phantom/{dataset}/{subject}.tsv"
    wildcard_constraints:
        dataset=one_of(SINGLE_PHANTOMS),
        subject=r"phantom_\d+",
    conda:
        CPU_ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        settings=phantom_section,
        index=lambda wildcards: int(wildcards.subject.removeprefix("phantom_")),
        outputs=phantom_outputs,
        code=code_of("make_phantom"),
    shell:
        "python -m workflow_scripts.make_phantom"
        " --settings {params.settings:q}"
        " --subject-index {params.index}"
        " {params.outputs:q}"
        " 2> {log}"


use rule make_phantom as make_phantom_pair with:
    """Make one synthetic body with its CT and its MR."""
    output:
        ct="<results>/phantoms/{dataset}/{subject}/ct.nii.gz",
        labels="<results>/phantoms/{dataset}/{subject}/labels.nii.gz",
        mr="<results>/phantoms/{dataset}/{subject}/mr.nii.gz",
        mr_labels="<results>/phantoms/{dataset}/{subject}/mr_labels.nii.gz",
        landmarks="<results>/phantoms/{dataset}/{subject}/landmarks.csv",
        lesions="<results>/phantoms/{dataset}/{subject}/lesions.csv",
    log:
        "<logs>/make_phantom_pair/{dataset}/{subject}.log",
    benchmark:
        "<benchmarks>/make_phantom_pair/{dataset}/{subject}.tsv"
    wildcard_constraints:
        dataset=one_of(PAIRED_PHANTOMS),
        subject=r"phantom_\d+",


use rule make_phantom as make_tracking_phantom with:
    """Make one synthetic body at two times, with lesions that are followed."""
    output:
        ct="<results>/phantoms/{dataset}/{patient}_01_01.nii.gz",
        follow_up="<results>/phantoms/{dataset}/{patient}_02_01.nii.gz",
        landmarks="<results>/phantoms/{dataset}/{patient}.landmarks.csv",
        lesions="<results>/phantoms/{dataset}/{patient}.lesions.csv",
    log:
        "<logs>/make_tracking_phantom/{dataset}/{patient}.log",
    benchmark:
        "<benchmarks>/make_tracking_phantom/{dataset}/{patient}.tsv"
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
        image="<results>/moved/{dataset}/{volume}.nii.gz",
        move="<results>/moved/{dataset}/{volume}.json",
    log:
        "<logs>/move_volume/{dataset}/{volume}.log",
    benchmark:
        "<benchmarks>/move_volume/{dataset}/{volume}.tsv"
    wildcard_constraints:
        dataset=one_of(MOVED),
    conda:
        CPU_ENVIRONMENT
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        settings=lambda wildcards: section_of(
            SETTINGS.datasets[wildcards.dataset].known_move
        ),
        geometry=geometry_argument,
        state=lambda wildcards: state_of([unmoved_image(wildcards)]),
        code=code_of("move_volume"),
    shell:
        "python -m workflow_scripts.move_volume"
        " --settings {params.settings:q}"
        " {params.geometry}"
        " --image {input:q}"
        " --name {wildcards.volume}"
        " --output-image {output.image}"
        " --output-move {output.move}"
        " 2> {log}"
