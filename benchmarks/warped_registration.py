"""How exact registrations are on real CTs warped by known fields (configs/known_warps.yaml).

    python -m benchmarks.known_warps make FOLDER --half development
    python -m benchmarks.warped_registration FOLDER --program NEW/deeds OLD/deeds --model MODEL.safetensors

Registers every pair of the folder as the verb `register` does after its start, which is here the world that both scans
share: the search by each program, and the descent below a voxel after the first one. Prints median, mean and 95th
percentile of the errors in mm over all pairs and over each warp, and the processor time and the peak memory of a pair.
`lesions` are left out: they are the yardstick of single points.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from anatomical_embedding import api
from anatomical_embedding.progress import track
from anatomical_embedding.registration.deformation import deform
from anatomical_embedding.registration.field_doubt import doubt_at
from anatomical_embedding.settings.registration import DeedsSettings
from anatomical_embedding.usage.scans import prepare_raw_scan
from benchmarks.known_warps import LESIONS, TARGET, TEMPLATE, overlap_of, spread

SURE_MM, NEAR_MM = 2.0, 4.0
"""Of points with doubt below the one, 95 % are to lie within the other."""


def main() -> None:
    """Register the pairs and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the pairs are")
    parser.add_argument("--program", type=Path, nargs="+", required=True, help="builds of deeds")
    parser.add_argument(
        "--model", type=Path, required=True, help="whose settings say how scans are registered"
    )
    parser.add_argument("--pairs", default="*", help="pattern of the names of the pairs")
    parser.add_argument("--output", type=Path, help="errors (CSV) to write")
    options = parser.parse_args()
    model = api.load_model(options.model)
    settings = model.card.usage.scan_registration.deeds
    ways = [("descent", options.program[0], settings)]
    ways += [
        (str(program), program, settings.model_copy(update={"descent": None})) for program in options.program
    ]
    pairs = [
        path.parent
        for path in sorted(options.folder.glob(f"{options.pairs}/points.csv"))
        if not path.parent.name.endswith(f".{LESIONS}")
    ]
    errors = pd.concat(
        [registered(pair, ways, model) for pair in track(pairs, description="pairs", total=len(pairs))],
        ignore_index=True,
    )
    if options.output:
        errors.to_csv(options.output, index=False)
    for (warp, way), rows in [
        *errors.assign(warp="all").groupby(["warp", "way"], sort=False),
        *errors.groupby(["warp", "way"]),
    ]:
        print(f"{warp:<10} {spread(rows['error_mm'].to_numpy())} {rows['cpu_s'].mean():>6.1f} CPU s  {way}")
    print(doubt_figures(errors.dropna(subset=["doubt_mm"])))
    print(
        f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB here, "
        f"{resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MiB in the program"
    )


def registered(folder: Path, ways: list[tuple[str, Path, DeedsSettings]], model: api.Model) -> pd.DataFrame:
    """Return the errors of the points of one pair by every way."""
    raw = [api.read_scan(model, folder / f"{name}.nii.gz", modality="ct") for name in ("template", "target")]
    prepared = [prepare_raw_scan(model, scan) for scan in raw]
    points = pd.read_csv(folder / "points.csv")
    asked, truth = points[TEMPLATE].to_numpy(), points[TARGET].to_numpy()
    tables = []
    for name, program, settings in ways:
        before = cpu_seconds()
        with tempfile.TemporaryDirectory() as temporary:
            found = deform(
                program,
                *(volume.image for volume in prepared),
                matrix=np.eye(4),
                moving_labels=None,
                settings=settings,
                output_stem=Path(temporary) / "pair",
                threads=1,
                modalities=("ct", "ct"),
                with_image=True,  # builds of before know nothing else
                scans=(raw[0].volume, raw[1].volume),
                body=prepared[0].body_mask,
            )
        seconds = cpu_seconds() - before
        errors_mm = np.linalg.norm(found.field.moving_points(asked) - truth, axis=1)
        doubt = np.full(len(asked), np.nan) if found.doubt is None else doubt_at(found.doubt.radius_mm, asked)
        scan, warp = folder.name.rsplit(".", 1)
        row = {"scan": scan, "warp": warp, "way": name, "cpu_s": seconds} | overlap_of(folder, found.field)
        tables.append(pd.DataFrame({"error_mm": errors_mm, "doubt_mm": doubt}).assign(**row))
    return pd.concat(tables, ignore_index=True)


def doubt_figures(rows: pd.DataFrame) -> str:
    """Return how well the doubt tells the errors as text."""
    error, doubt = rows["error_mm"], rows["doubt_mm"]
    by_pair = [
        pair["doubt_mm"].corr(pair["error_mm"], method="spearman")
        for _, pair in rows.groupby(["scan", "warp"])
    ]
    is_sure = doubt < SURE_MM
    return (
        f"doubt: rank correlation {doubt.corr(error, method='spearman'):.2f} over all, {np.mean(by_pair):.2f} within a "
        f"pair; {(error < doubt).mean():.0%} within the doubt; {is_sure.mean():.0%} below {SURE_MM:g} mm, of these "
        f"{(error[is_sure] < NEAR_MM).mean():.1%} within {NEAR_MM:g} mm (of all {(error < NEAR_MM).mean():.1%})"
    )


def cpu_seconds() -> float:
    """Return the processor time of this process and of the programs that it ran."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


if __name__ == "__main__":
    main()
