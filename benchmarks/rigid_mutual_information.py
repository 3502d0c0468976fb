"""Compare the registrations of moved CT/MR pairs with rigid mutual information of elastix, pair by pair.

    snakemake --cores all --configfile configs/ct_mr_pairs_real.yaml
    python -m benchmarks.rigid_mutual_information --results results/ct_mr_pairs_real --dataset ct_mr --root CT_FOLDER

Needs the package itk-elastix (0.25.4 was used), which is no dependency of the project.
"""

import itk
import numpy as np
import pandas as pd

from anatomical_embedding.evaluation.registration.landmark_errors import read_registration_errors
from anatomical_embedding.registration.guided_start import read_start
from benchmarks.moved_pairs import parse_options, points_of

LPS = np.array([-1.0, -1.0, 1.0])
STARTS = ("world", "GeometricalCenter", "CenterOfGravity")
"""What lies on one another at first: equal world coordinates, wrong by the known move, or two kinds of centres."""


def main() -> None:
    """Print the median landmark error of each pair and method in mm, and what sums them up."""
    options = parse_options(__doc__)
    landmarks = pd.read_csv(options.results / "landmarks" / f"{options.dataset}.csv")
    rows = []
    for folder in sorted((options.results / "registrations" / options.registration).glob("*__*")):
        fixed_id, moving_id = folder.name.split("__")
        fixed_mm, moving_mm = (points_of(landmarks, name) for name in (fixed_id, moving_id))
        row = {"pair": folder.name, "status": read_start(folder / "start.json").status}
        errors = read_registration_errors(folder / "errors.json")
        row |= {name: figures.median_mm for name, figures in errors.points.items()}
        fixed = itk.imread(str(options.root / f"{fixed_id}.nii.gz"), itk.F)
        moving = itk.imread(str(options.results / "moved" / options.dataset / f"{moving_id}.nii.gz"), itk.F)
        for start in STARTS:
            row[f"elastix {start}"] = elastix_error(fixed, moving, fixed_mm, moving_mm, start=start)
        rows.append(row)
        print(pd.Series(row).to_string(), flush=True)
    table = pd.DataFrame(rows)
    print(table.round(1).to_string())
    figures = table.drop(columns=["pair", "status"])
    summary = {"median": figures.median(), "mean": figures.mean(), "above 10 mm": (figures > 10).mean()}
    print(pd.DataFrame(summary).T.round(2).to_string())


def elastix_error(fixed, moving, fixed_mm: np.ndarray, moving_mm: np.ndarray, *, start: str) -> float:
    """Return the median error in mm of rigid registration by mutual information with elastix' own settings."""
    parameters = itk.ParameterObject.New()
    rigid = parameters.GetDefaultParameterMap("rigid", 4)
    if start == "world":
        rigid["AutomaticTransformInitialization"] = ["false"]
    else:
        rigid["AutomaticTransformInitialization"] = ["true"]
        rigid["AutomaticTransformInitializationMethod"] = [start]
    rigid["MaximumNumberOfIterations"] = ["500"]
    parameters.AddParameterMap(rigid)
    try:
        _, result = itk.elastix_registration_method(
            fixed, moving, parameter_object=parameters, log_to_console=False
        )
    except RuntimeError:
        return float("inf")
    return float(np.median(np.linalg.norm(moved_points(result, fixed_mm) - moving_mm, axis=1)))


def moved_points(result, points_mm: np.ndarray) -> np.ndarray:
    """Return where an elastix Euler transform takes RAS points."""
    chosen = result.GetParameterMap(0)
    angles = np.array([float(value) for value in chosen["TransformParameters"]])
    centre = np.array([float(value) for value in chosen["CenterOfRotationPoint"]])
    transform = itk.Euler3DTransform[itk.D].New()
    transform.SetCenter(centre.tolist())
    transform.SetComputeZYX(chosen.get("ComputeZYX", ["false"])[0] == "true")
    transform.SetParameters(itk.OptimizerParameters[itk.D](angles.tolist()))
    return np.array([np.array(transform.TransformPoint((point * LPS).tolist())) * LPS for point in points_mm])


if __name__ == "__main__":
    main()
