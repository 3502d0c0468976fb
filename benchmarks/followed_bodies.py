"""Synthetic bodies at four visits with the truth on their lesions, made once and kept in a folder.

Making a body and embedding its scans costs more than following it, and neither depends on how lesions are followed:
a body whose truth lies in its folder is read again.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.ndimage import label as connected_parts

from anatomical_embedding.files import write_json
from anatomical_embedding.phantom.visits import NUM_VISITS, PhantomVisit, TrueLesion, make_visits
from anatomical_embedding.settings.phantom import PhantomSubjectSettings
from anatomical_embedding.settings.run_file import completed_run_file
from anatomical_embedding.volumes.nifti import read_volume, write_volume
from anatomical_embedding.volumes.volume import Volume

NAMES = tuple(f"visit{number}" for number in range(NUM_VISITS))
TRUTH = "truth.json"
EDGE_MM, SHELL_MM = 2.0, 8.0
"""Voxels less deep in a lesion, or less far from it, are its edge; those up to here from it surround it."""
SMALLEST_DEVIATION = 1.0
"""Of the values within a lesion, HU: one of a voxel or two has none."""
VISIBLE = 1.5
"""Contrast, in deviations within it, from which on a lesion is seen where it is given."""


@dataclass(frozen=True)
class KnownVisit:
    """A visit with its truth.

    Attributes
    ----------
    scan : file of the scan.
    labels : numbers of the lesions on its voxels.
    lesions : all lesions of the body.
    """

    scan: Path
    labels: Volume
    lesions: tuple[TrueLesion, ...]


@dataclass(frozen=True)
class FollowedBody:
    """A body at all visits: `first_lesions` and `last_lesions` are what a user would give there."""

    visits: tuple[KnownVisit, ...]
    first_lesions: Path
    last_lesions: Path

    def was_shown(self, number: int) -> bool:
        """Say whether the first visit shows a lesion."""
        return any(lesion.number == number and lesion.state == "present" for lesion in self.visits[0].lesions)

    def contrasts(self) -> dict[int, float]:
        """Return by lesion of the first visit how much it differs there from its surroundings.

        The difference of its mean from the median of what surrounds it, in standard deviations within it.
        """
        first = self.visits[0]
        volume = read_volume(first.scan)
        return {
            int(number): _contrast(volume, first.labels.array, int(number))
            for number in np.unique(first.labels.array)
            if number
        }


def _contrast(volume: Volume, labels: NDArray[np.uint8], number: int) -> float:
    reach = np.ceil(SHELL_MM / volume.spacing_mm).astype(int) + 1
    voxels = np.argwhere(labels == number)
    low, high = np.maximum(voxels.min(axis=0) - reach, 0), voxels.max(axis=0) + reach + 1
    part = tuple(slice(start, stop) for start, stop in zip(low, high, strict=True))
    values, inside = volume.array[part].astype(np.float64), labels[part] == number
    depth_mm, away_mm = (
        distance_transform_edt(mask, sampling=volume.spacing_mm) for mask in (inside, ~inside)
    )
    core = depth_mm > min(EDGE_MM, 0.5 * depth_mm.max())
    shell = (away_mm > EDGE_MM) & (away_mm <= SHELL_MM) & (labels[part] == 0)
    if not shell.any():  # other lesions lie all round: there is no tissue that it could be lost in
        return np.inf
    deviation = max(float(values[core].std()), SMALLEST_DEVIATION)
    return float(abs(values[core].mean() - np.median(values[shell])) / deviation)


def body_settings(seed: int) -> PhantomSubjectSettings:
    """Return the delivered bodies with finer voxels, slices of 1 to 5 mm and more of them out of the view."""
    entry = {"kind": "phantom_tracking", "num_subjects": 1, "seed": seed, "split": {"num_test": 1}}
    run = completed_run_file({"datasets": {"bodies": entry}, "preparation": "small"})
    bodies = run["datasets"]["bodies"]
    bodies["ct"]["field_of_view"] |= {
        "size_vox": [128, 96, 72],
        "spacing_mm": [3, 3, 5],
        "shift_along_mm": 70,
    }
    bodies["follow_up"]["slice_spacings_mm"] = [1, 2, 3, 5]
    known = {name: bodies[name] for name in PhantomSubjectSettings.model_fields if name in bodies}
    return PhantomSubjectSettings.model_validate(known, strict=False)


def known_body(folder: Path, body: int, *, seed: int) -> FollowedBody:
    """Return a body, made if it does not lie in the folder."""
    if not (folder / TRUTH).exists():
        _make(folder, make_visits(body_settings(seed), subject_index=body), seed=body)
    truth = json.loads((folder / TRUTH).read_text(encoding="utf-8"))
    visits = tuple(
        KnownVisit(
            _scan(folder, name),
            read_volume(_labels(folder, name), require_contrast=False),
            tuple(_lesion(entry) for entry in truth[name]),
        )
        for name in NAMES
    )
    return FollowedBody(visits, folder / "first_lesions.nii.gz", folder / "last_lesions.nii.gz")


def _make(folder: Path, visits: Sequence[PhantomVisit], *, seed: int) -> None:
    """Write scans, true masks, what is given, and last the truth."""
    for name, visit in zip(NAMES, visits, strict=True):
        write_volume(visit.scan.volume, _scan(folder, name))
        write_volume(visit.label_map(), _labels(folder, name))
    write_volume(_first_lesions(visits[0]), folder / "first_lesions.nii.gz")
    write_volume(_as_given(visits[-1], seed=seed), folder / "last_lesions.nii.gz")
    write_json(
        folder / TRUTH,
        {
            name: [
                asdict(lesion)
                | {
                    "centre_mm": lesion.centre_mm.tolist(),
                    "balls": [[centre.tolist(), radius] for centre, radius in lesion.balls],
                }
                for lesion in visit.lesions
            ]
            for name, visit in zip(NAMES, visits, strict=True)
        },
    )


def _scan(folder: Path, name: str) -> Path:
    return folder / f"{name}.nii.gz"


def _labels(folder: Path, name: str) -> Path:
    return folder / f"{name}_truth.nii.gz"


def _lesion(entry: dict[str, object]) -> TrueLesion:
    known = dict(entry)
    known["centre_mm"] = np.array(known["centre_mm"])
    known["balls"] = tuple((np.array(centre), radius) for centre, radius in known["balls"])  # type: ignore[attr-defined]
    known["related"] = tuple(known["related"])  # type: ignore[arg-type]
    return TrueLesion(**known)  # type: ignore[arg-type]


def _first_lesions(visit: PhantomVisit) -> Volume:
    """Return the masks of the lesions whose middle the first visit shows."""
    labels = visit.label_map()
    present = [lesion.number for lesion in visit.lesions if lesion.state == "present"]
    return Volume(np.where(np.isin(labels.array, present), labels.array, 0).astype(np.uint8), labels.affine)


def _as_given(visit: PhantomVisit, *, seed: int) -> Volume:
    """Return what a user would draw at a later visit: every part that hangs together, in no order."""
    labels = visit.label_map()
    parts, count = connected_parts(labels.array > 0)
    numbers = np.concatenate([[0], 1 + np.random.default_rng(seed).permutation(count)])
    return Volume(numbers[parts].astype(np.uint8), labels.affine)
