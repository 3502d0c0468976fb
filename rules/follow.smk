# Contract
#   reads    the tables of `followings`, and the scans and lesions that they name; models/<model>/model.safetensors; in
#            followings/<following>/<patient>/, where a reader puts them, corrected/, decisions.csv and targets.csv
#   writes   followings/<following>/<patient>/: visits/<visit>.csv, and at last follow.json, lesions.csv, measurements.csv and
#            the report
#   used by  the run's end
# Masks and embeddings of a visit lie beside its rows, but are no outputs: a visit that is added makes its own alone.

import json

from anatomical_embedding.follow.decisions import moved_places
from anatomical_embedding.follow.follow_folder import FollowFolder
from anatomical_embedding.follow.visits_table import read_visits_table


def _listed_patients(following):
    try:
        return read_visits_table(SETTINGS.followings[following].visits)
    except UserError as error:
        raise WorkflowError(f"{RUN_FILES}: followings.{following}: {error}") from None


# following -> patient -> visits in the order of time
FOLLOWED = {name: _listed_patients(name) for name in SETTINGS.followings}


def visits_up_to(wildcards):
    """Return the visits of a patient up to one of them: all that it depends on."""
    visits = FOLLOWED[wildcards.following][wildcards.patient]
    names = [visit.visit for visit in visits]
    return visits[: names.index(wildcards.visit) + 1]


def files_up_to(wildcards):
    """Return the scans and lesions of a visit and those before it."""
    visits = visits_up_to(wildcards)
    return [visit.scan for visit in visits] + [
        visit.lesions for visit in visits if visit.lesions
    ]


def rows_before(wildcards):
    """Return the rows of the visits before one."""
    return [
        f"<results>/followings/{wildcards.following}/{wildcards.patient}/visits/{visit.visit}.csv"
        for visit in visits_up_to(wildcards)[:-1]
    ]


def visits_json(wildcards):
    """Return the visits up to one as JSON."""
    return json.dumps(
        [
            {
                "visit": visit.visit,
                "date": None if visit.date is None else visit.date.isoformat(),
                "scan": str(visit.scan),
                "lesions": None if visit.lesions is None else str(visit.lesions),
            }
            for visit in visits_up_to(wildcards)
        ]
    )


def modality_option(wildcards):
    """Return the option that says what all scans are, where the run file does."""
    modality = SETTINGS.followings[wildcards.following].modality
    return f"--modality={modality}" if modality else ""


def folder_of(wildcards):
    """Return the folder of a patient."""
    return FollowFolder(
        RESULTS / "followings" / wildcards.following / wildcards.patient
    )


def corrected_masks(wildcards):
    """Return the masks of a patient that a user has corrected."""
    return sorted(folder_of(wildcards).folder.glob("corrected/*.nii.gz"))


def moved_up_to(wildcards):
    """Return where a reader moved lesions at a visit and those before it."""
    return str(
        [
            moved_places(folder_of(wildcards).decisions, visit.visit)
            for visit in visits_up_to(wildcards)
        ]
    )


def state_of_reading(wildcards):
    """Return what changes when a file that a reader puts into the folder of a patient comes, changes or goes."""
    place = folder_of(wildcards)
    # Of other names as well, which the report tells of.
    corrected = sorted(place.folder.glob("corrected/[!.]*"))
    state = input_state([place.targets, place.decisions, *corrected])
    return f"{state} {[path.name for path in corrected]}"


def followed_patients():
    """Return the last file of every patient that is followed."""
    return [
        f"<results>/followings/{following}/{patient}/report.html"
        for following, patients in FOLLOWED.items()
        for patient in patients
    ]


rule follow_visit:
    """Say what became of every lesion at one visit, by the visits before it."""
    input:
        files=files_up_to,
        rows=rows_before,
        checkpoint=lambda wildcards: f"<results>/models/{SETTINGS.followings[wildcards.following].model}/model.safetensors",
    output:
        "<results>/followings/{following}/{patient}/visits/{visit}.csv",
    log:
        "<logs>/follow_visit/{following}/{patient}/{visit}.log",
    benchmark:
        "<benchmarks>/follow_visit/{following}/{patient}/{visit}.tsv"
    wildcard_constraints:
        following=one_of(SETTINGS.followings),
        patient=r"[A-Za-z0-9][A-Za-z0-9_.-]*",
        visit=r"[A-Za-z0-9][A-Za-z0-9_.-]*",
    conda:
        TORCH_ENVIRONMENT
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        settings=lambda wildcards: section_of(
            SETTINGS.followings[wildcards.following].follow()
        ),
        visits=visits_json,
        modality=modality_option,
        folder=lambda wildcards, output: Path(output[0]).parents[1],
        state=lambda wildcards: state_of(files_up_to(wildcards)),
        moved=moved_up_to,
        code=code_of("follow_visit"),
    shell:
        "python -m workflow_scripts.follow_visit"
        " --settings {params.settings:q}"
        " --visits {params.visits:q}"
        " --patient {wildcards.patient}"
        " --checkpoint {input.checkpoint}"
        " --folder {params.folder}"
        " {params.modality}"
        " 2> {log}"


rule report_followed:
    """Measure the lesions of a patient and write the tables and the report."""
    input:
        rows=lambda wildcards: [
            f"<results>/followings/{wildcards.following}/{wildcards.patient}/visits/{visit.visit}.csv"
            for visit in FOLLOWED[wildcards.following][wildcards.patient]
        ],
        checkpoint=lambda wildcards: f"<results>/models/{SETTINGS.followings[wildcards.following].model}/model.safetensors",
        corrected=corrected_masks,
    output:
        record="<results>/followings/{following}/{patient}/follow.json",
        lesions="<results>/followings/{following}/{patient}/lesions.csv",
        measurements="<results>/followings/{following}/{patient}/measurements.csv",
        report="<results>/followings/{following}/{patient}/report.html",
    log:
        "<logs>/report_followed/{following}/{patient}.log",
    benchmark:
        "<benchmarks>/report_followed/{following}/{patient}.tsv"
    wildcard_constraints:
        following=one_of(SETTINGS.followings),
        patient=r"[A-Za-z0-9][A-Za-z0-9_.-]*",
    conda:
        TORCH_ENVIRONMENT
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        settings=lambda wildcards: section_of(
            SETTINGS.followings[wildcards.following].follow()
        ),
        visits=lambda wildcards: [
            visit.visit for visit in FOLLOWED[wildcards.following][wildcards.patient]
        ],
        folder=lambda wildcards, output: Path(output.record).parent,
        state=state_of_reading,
        code=code_of("report_followed"),
    shell:
        "python -m workflow_scripts.report_followed"
        " --settings {params.settings:q}"
        " --visits {params.visits}"
        " --patient {wildcards.patient}"
        " --checkpoint {input.checkpoint}"
        " --folder {params.folder}"
        " 2> {log}"
