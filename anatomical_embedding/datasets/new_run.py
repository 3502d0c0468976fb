"""A folder of scans in, a run file out: its kind is told by names, its modality by a few of its scans."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from anatomical_embedding.datasets.listing import CASE_IMAGES, CASE_LABELS, list_raw_volumes
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.identifiers import is_identifier
from anatomical_embedding.settings.organs import TABLES, organs_of_table
from anatomical_embedding.settings.pipeline import read_pipeline_settings
from anatomical_embedding.settings.volumes import Modality
from anatomical_embedding.volumes.file_names import is_volume_name
from anatomical_embedding.volumes.nifti import write_volume
from anatomical_embedding.volumes.raw_scan import ReadingOptions, read_raw_scan

Kind = Literal["folder", "case_folders", "ct_mr_pairs"]

PAIR_NAME = re.compile(r"(.+)_([0-9]{4})\.nii(\.gz)?", re.IGNORECASE)
DEEPLESION_NAME = re.compile(r"[0-9]{6}_[0-9]{2}_[0-9]{2}_.*")
DEEPLESION_PATIENT = "^([0-9]+)_"
NUM_LOOKED_AT = 3
"""Scans whose voxels tell the modality of a folder; names do not."""
FEWEST_PATIENTS = 4
"""One trains, one validates, and where organs are known two are scored."""
PATIENTS_A_TESTED_ONE = 5
PATIENTS_A_VALIDATING_ONE = 10
MOST_LANDMARKED_ORGANS = 12
DICOM_PREAMBLE, DICOM_MARK = 128, b"DICM"


@dataclass(frozen=True)
class ScanFolder:
    """What a folder of scans is.

    Attributes
    ----------
    root : the folder.
    kind : of the data set that it is.
    modality : of all scans; None for pairs of CT and MR.
    num_patients : who have scans in it.
    organs : that it has masks of, sorted.
    patient_pattern : takes the patient out of a volume's id; None where every volume is a patient.
    """

    root: Path
    kind: Kind
    modality: Modality | None
    num_patients: int
    organs: tuple[str, ...] = ()
    patient_pattern: str | None = None


def look_at_folder(root: Path, *, modality: Modality | None) -> ScanFolder:
    """Return what a folder of scans is.

    Parameters
    ----------
    root : the folder.
    modality : of its scans, where the user tells it; None looks at some of them.

    Raises
    ------
    InputFileError
        naming the folder, if it holds no scans in a layout that is known, DICOM files, or CTs and MRs without order.
    """
    entries = sorted(root.iterdir())
    for named_by, image in CASE_IMAGES.items():
        cases = [entry for entry in entries if (entry / image).is_file()]
        if cases:
            masks = [path for case in cases for path in (case / CASE_LABELS).glob("*.nii.gz")]
            organs = tuple(sorted({path.name.removesuffix(".nii.gz") for path in masks}))
            return ScanFolder(root, "case_folders", named_by, len(cases), organs)
    scans = [entry for entry in entries if entry.is_file() and is_volume_name(entry.name)]
    if scans:
        return _flat_folder(root, scans, told=modality)
    if folders_of_dicom(root):
        raise InputFileError(
            root, "holds folders of DICOM files; name a folder for their NIfTI copies with --nifti"
        )
    raise InputFileError(
        root,
        "holds no scans; expected files such as .nii.gz, .nrrd or .mha, or one folder per patient with ct.nii.gz or "
        "mri.nii.gz; name the folder that directly holds the scans",
    )


def folders_of_dicom(root: Path) -> list[Path]:
    """Return the folders right below a folder that hold DICOM files, sorted."""
    return [
        entry
        for entry in sorted(root.iterdir())
        if entry.is_dir() and any(map(_is_dicom, sorted(entry.iterdir())[:1]))
    ]


def copy_as_nifti(series: Path, folder: Path) -> tuple[Path, Modality]:
    """Write the DICOM series of a folder as a NIfTI file of its name and return that, and what its header calls it.

    Raises
    ------
    InputFileError
        if the series cannot be read, or is of no modality that is known.
    """
    scan = read_raw_scan(series, ReadingOptions())
    path = folder / f"{name_of_folder(series)}.nii.gz"
    folder.mkdir(parents=True, exist_ok=True)
    write_volume(scan.volume, path)
    return path, scan.modality


def run_file_text(folder: ScanFolder, *, name: str) -> str:
    """Return a run file that trains on a folder of scans, with comments.

    Parameters
    ----------
    folder : what was found.
    name : of the data set, and of the folder of the results.

    Raises
    ------
    InputFileError
        naming the folder, if it has too few patients.
    SettingsError
        naming the key at fault, such as a root that no path of a run may be.
    """
    if folder.num_patients < FEWEST_PATIENTS:
        raise InputFileError(
            folder.root,
            f"has scans of {folder.num_patients} patients, expected {FEWEST_PATIENTS} or more to train on and validate",
        )
    lines = [
        f"title: {name.replace('_', ' ')}",
        f"results: results/{name} # folder of everything that the run writes",
        "datasets:",
        *_indented(_dataset_lines(folder, name=name), by=2),
        *_model_lines(folder, name=name),
    ]
    return "\n".join(lines) + "\n"


def check_run(content: dict, *, name: str) -> None:
    """Refuse a run file whose settings are not sound, or whose scans cannot be listed.

    Raises
    ------
    UserError
        saying what is wrong.
    """
    dataset = read_pipeline_settings(content).datasets[name]
    list_raw_volumes(dataset, made_folder=Path("results"))


def _flat_folder(root: Path, scans: Sequence[Path], *, told: Modality | None) -> ScanFolder:
    pairs = [PAIR_NAME.fullmatch(scan.name) for scan in scans]
    numbers: dict[str, set[str]] = {}
    for found in pairs:
        if found is not None:
            numbers.setdefault(found[1], set()).add(found[2])
    if all(pairs) and all("0000" in known and len(known) > 1 for known in numbers.values()):
        return ScanFolder(root, "ct_mr_pairs", None, len(numbers))
    modality = told or _modality_of(root, scans)
    if all(DEEPLESION_NAME.fullmatch(scan.name) for scan in scans):
        patients = {scan.name.partition("_")[0] for scan in scans}
        return ScanFolder(root, "folder", modality, len(patients), patient_pattern=DEEPLESION_PATIENT)
    return ScanFolder(root, "folder", modality, len(scans))


def _modality_of(root: Path, scans: Sequence[Path]) -> Modality:
    """Return the modality of the first, middle and last scan, which must be one."""
    places = sorted({round(index * (len(scans) - 1) / (NUM_LOOKED_AT - 1)) for index in range(NUM_LOOKED_AT)})
    found = {scans[place]: read_raw_scan(scans[place], ReadingOptions()).modality for place in places}
    if len(set(found.values())) > 1:
        named = ", ".join(f"{path.name} is {modality}" for path, modality in found.items())
        raise InputFileError(root, f"holds CTs and MRs ({named}), expected one modality; give each a folder")
    return next(iter(found.values()))


def _is_dicom(path: Path) -> bool:
    """Say whether a file has the preamble of DICOM."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(len(DICOM_MARK) + DICOM_PREAMBLE)[DICOM_PREAMBLE:] == DICOM_MARK


def _dataset_lines(folder: ScanFolder, *, name: str) -> list[str]:
    validation = max(1, folder.num_patients // PATIENTS_A_VALIDATING_ONE)
    tested = max(2, folder.num_patients // PATIENTS_A_TESTED_ONE) if folder.organs else 0
    lines = [f"kind: {folder.kind} # {folder.num_patients} patients"]
    if folder.modality is not None:
        how = "by their file names" if folder.kind == "case_folders" else "by the voxels of a few scans"
        lines.append(f"modality: {folder.modality} # {how}; change it if it is wrong")
    lines.append(f"root: {_quoted(str(folder.root))}")
    if folder.patient_pattern is not None:
        lines.append(
            f"patient_pattern: {_quoted(folder.patient_pattern)} # the patient's number opens the file name"
        )
    if folder.organs:
        lines.append(f"organs: {_organs_text(folder.organs)} # their order gives their labels")
        landmarked = folder.organs[:MOST_LANDMARKED_ORGANS]
        lines.append("landmarks: # what is scored; also: top, bottom, left, right, front, back")
        lines += [f"  {organ}: [centroid]" for organ in landmarked]
    lines.append(
        f"split: {{num_test: {tested}, num_validation: {validation}, seed: 1}} # patients; the others train"
    )
    return [f"{name}:", *_indented(lines, by=2)]


def _model_lines(folder: ScanFolder, *, name: str) -> list[str]:
    if folder.kind == "ct_mr_pairs":
        return [
            "models:",
            "  first: # every volume for itself; its matches find how the scans of a patient lie",
            "    recipe: cross_sam_first_small # minutes on a few cores; cross_sam_first_published for a GPU",
            f"    training: {{mix: {{{name}: 2}}}} # volumes in a batch",
            "  second: # CT against MR",
            "    recipe: cross_sam_small",
            "    initial_model: first",
            f"    training: {{mix: {{{name}: 2}}}}",
            "    registered: {registration: pairs}",
            "registrations:",
            "  pairs:",
            f"    dataset: {name}",
            "    pairs: {fixed_modality: ct, moving_modality: mr, splits: [train]}",
            "    guide: {recipe: small, model: first}",
            "    deeds: {recipe: small}",
        ]
    lines = [
        "models:",
        "  sam:",
        "    recipe: sam_small # minutes on a few cores; sam_nih_published, the published training, for a GPU",
        f"    training: {{mix: {{{name}: 2}}}} # volumes in a batch",
    ]
    if folder.organs:
        lines += [
            "evaluations:",
            f"  {name}: {{dataset: {name}, models: [sam]}} # landmarks of the test patients",
        ]
    return lines


def _organs_text(organs: Sequence[str]) -> str:
    """Return the organs as a list, or the name of the table that has just these."""
    for table in sorted(TABLES.glob("*.txt")):
        if set(organs_of_table(table.stem)) == set(organs):
            return table.stem
    return f"[{', '.join(organs)}]"


def _quoted(text: str) -> str:
    """Return a text as a double-quoted YAML scalar if it needs quotes."""
    if re.fullmatch(r"[A-Za-z0-9_./~][A-Za-z0-9_./-]*", text):
        return text
    return "'" + text.replace("'", "''") + "'"


def _indented(lines: Sequence[str], *, by: int) -> list[str]:
    return [" " * by + line for line in lines]


def name_of_folder(root: Path) -> str:
    """Return what the data set of a folder is called: the folder's name, with what no name may hold replaced.

    Examples
    --------
    >>> name_of_folder(Path("/data/my scans (2)")), name_of_folder(Path("/data/-"))
    ('my_scans_2', 'scans')
    """
    name = re.sub(r"[^A-Za-z0-9]+", "_", root.name).strip("_")
    return name if is_identifier(name) else "scans"
