"""Ask how well the reference of the real CT/MR pairs holds: where mutual information wants the unmoved MR to lie.

    snakemake --cores all --configfile configs/ct_mr_pairs_real.yaml
    python -m benchmarks.reference_offset --results results/ct_mr_pairs_real --dataset ct_mr --root CT_FOLDER

The unmoved scans of a patient share one world, which the landmark errors take for the truth. Where mutual information
grows clearly when the MR is shifted, they do not lie on one another: the MR shows what the CT shows at some offset. The
mean error of the registration is printed in the same world; what lies beside the offset is its own.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK
from numpy.typing import NDArray

from anatomical_embedding.registration.displacement_field import read_field
from benchmarks.moved_pairs import parse_options, points_of

SPACING_MM = 3.0
STEPS_MM = (4.0, 2.0, 1.0)
NUM_BINS = 48
AIR_HU = -400.0
CT_RANGE_HU = (-200.0, 400.0)
BODY_SHARE = 0.08  # of the bright end of an MR
LPS_FROM_RAS = np.array([-1.0, -1.0, 1.0])


def main() -> None:
    """Print, for each pair, the offset between CT and MR and the mean error of the registration, LPS mm."""
    options = parse_options(__doc__)
    landmarks = pd.read_csv(options.results / "landmarks" / f"{options.dataset}.csv")
    rows = []
    for folder in sorted((options.results / "registrations" / options.registration).glob("*__*")):
        fixed_id, moving_id = folder.name.split("__")
        ct, mr = (
            SimpleITK.ReadImage(str(options.root / f"{name}.nii.gz"), SimpleITK.sitkFloat32)
            for name in (fixed_id, moving_id)
        )
        offset, at_reference, at_offset = best_offset(ct, mr)
        move = json.loads(
            (options.results / "moved" / options.dataset / f"{moving_id}.json").read_text("utf-8")
        )
        error = mean_error(
            folder / "displacement_field.nii.gz",
            *(points_of(landmarks, name) for name in (fixed_id, moving_id)),
            moved_from_shared=np.array(move["moved_from_shared_world"]),
        )
        rows.append(
            {
                "pair": folder.name,
                "information at reference": at_reference,
                "at offset": at_offset,
                "offset of reference": offset,
                "error of registration": error.round(1),
                "beside offset": float(np.linalg.norm(error - offset).round(1)),
            }
        )
    print(pd.DataFrame(rows).round(4).to_string())


def best_offset(ct: SimpleITK.Image, mr: SimpleITK.Image) -> tuple[NDArray[np.float64], float, float]:
    """Return (3,) how far off the MR shows what the CT shows, LPS mm, and the information without and with it.

    A climb along the axes with finer and finer steps: the nearest summit, not the highest.
    """
    size = [round(n * spacing / SPACING_MM) for n, spacing in zip(mr.GetSize(), mr.GetSpacing(), strict=True)]
    grid = SimpleITK.Resample(
        mr,
        size,
        SimpleITK.Transform(),
        SimpleITK.sitkLinear,
        mr.GetOrigin(),
        [SPACING_MM] * 3,
        mr.GetDirection(),
        0.0,
    )
    shades = SimpleITK.GetArrayFromImage(grid)
    bright = np.percentile(shades, 99.5)
    body = shades > BODY_SHARE * bright

    def information(offset: NDArray[np.float64]) -> float:
        transform = SimpleITK.TranslationTransform(3, (-offset).tolist())  # from places in the MR to the CT
        moved = SimpleITK.GetArrayFromImage(
            SimpleITK.Resample(ct, grid, transform, SimpleITK.sitkLinear, AIR_HU - 1.0)
        )
        used = body & (moved > AIR_HU)
        return normalised_information(moved[used].clip(*CT_RANGE_HU), shades[used].clip(0.0, bright))

    offset = np.zeros(3)
    at_reference = best = information(offset)
    for step in STEPS_MM:
        while True:
            tried = [offset + sign * step * axis for axis in np.eye(3) for sign in (-1.0, 1.0)]
            found = [information(one) for one in tried]
            if max(found) <= best:
                break
            best, offset = max(found), tried[int(np.argmax(found))]
    return offset, at_reference, best


def normalised_information(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Return the sum of both entropies over the joint one (Studholme et al. 1999)."""
    counts, _, _ = np.histogram2d(first, second, bins=NUM_BINS)
    joint = counts / counts.sum()
    return (entropy(joint.sum(axis=1)) + entropy(joint.sum(axis=0))) / entropy(joint.ravel())


def entropy(shares: NDArray[np.float64]) -> float:
    """Return the entropy in nats."""
    known = shares[shares > 0]
    return float(-(known * np.log(known)).sum())


def mean_error(
    field: Path, fixed_mm: NDArray, moving_mm: NDArray, *, moved_from_shared: NDArray
) -> NDArray[np.float64]:
    """Return the (3,) mean of found minus true places, LPS mm in the world that both scans share."""
    errors = read_field(field).moving_points(fixed_mm) - moving_mm
    return np.linalg.solve(moved_from_shared[:3, :3], errors.mean(axis=0)) * LPS_FROM_RAS


if __name__ == "__main__":
    main()
