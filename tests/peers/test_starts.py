"""Other programs move points by a file as `register --initial` reads it.

FSL and FreeSurfer cannot be installed by pip; nitransforms, which reads their files, stands for them.
"""

import numpy as np
import pytest
import SimpleITK

from anatomical_embedding.registration.initial.read import read_initial_start
from anatomical_embedding.volumes.affine import transform_points
from anatomical_embedding.volumes.nifti import write_volume
from anatomical_embedding.volumes.volume import Volume
from tests import starts_by_hand as by_hand
from tests.peers.programs import needs_peers, run_program, write_points

pytestmark = needs_peers
MOST_MM = 0.001
ROWS = "\n".join(" ".join(map(str, row)) for row in by_hand.RAS) + "\n"
TURN = [0.3, -0.2, 0.5, 4, -7, 9]
CENTRE = "(CenterOfRotationPoint 1 2 3)"
GRID = (
    "(MovingImageDimension 3)",
    "(Size 7 6 5)",
    "(Index 0 0 0)",
    "(Spacing 2 3 5)",
    "(Origin -10 20 30)",
    "(Direction -0.6 -0.8 0 0.8 -0.6 0 0 0 1)",
    '(Resampler "DefaultResampler")',
    '(ResampleInterpolator "FinalLinearInterpolator")',
)
ELASTIX = {
    "euler.txt": by_hand.elastix("EulerTransform", TURN, CENTRE, '(ComputeZYX "false")', *GRID),
    "zyx.txt": by_hand.elastix("EulerTransform", TURN, CENTRE, '(ComputeZYX "true")', *GRID),
    "similarity.txt": by_hand.elastix("SimilarityTransform", [*TURN, 1.1], CENTRE, *GRID),
    "affine.txt": by_hand.elastix(
        "AffineTransform", [*by_hand.LPS[:3, :3].ravel(), -19.6, 32, -0.2], CENTRE, *GRID
    ),
}


@pytest.mark.parametrize(
    ("program", "name", "content", "meant_by"),
    [
        ("greedy", "greedy.mat", ROWS, "greedy"),
        ("niftyreg", "niftyreg.txt", ROWS, "niftyreg"),
        ("nitransforms_start", "flirt.mat", by_hand.FLIRT, "fsl"),
        ("nitransforms_start", "ras.lta", by_hand.lta(1, by_hand.BACK_RAS), None),
        *[("elastix", name, content, None) for name, content in ELASTIX.items()],
        ("ants", "ants.mat", None, None),
    ],
)
def test_a_program_moves_points_by_a_start_as_we_read_it(tmp_path, program, name, content, meant_by):
    for scan, path in ((by_hand.FIXED, "onto.nii.gz"), (by_hand.MOVING, "carried.nii.gz")):
        noise = np.random.default_rng(1).standard_normal(scan.volume.shape).astype(np.float32)
        write_volume(Volume(noise, scan.volume.affine), tmp_path / path)
    if content is None:
        SimpleITK.WriteTransform(by_hand.itk_affine(), str(tmp_path / name))
    else:
        (tmp_path / name).write_text(content, encoding="utf-8")
    write_points(by_hand.FIXED_MM, tmp_path / "points.csv")
    start = read_initial_start(tmp_path / name, fixed=by_hand.FIXED, moving=by_hand.MOVING, program=meant_by)
    found = run_program(program, tmp_path, [str(tmp_path / name)])
    ours = transform_points(start.matrix, by_hand.FIXED_MM)
    mm = np.linalg.norm(found - ours, axis=1).max()
    print(f"{program}, {name}: {mm:.6f} mm")
    assert mm < MOST_MM
