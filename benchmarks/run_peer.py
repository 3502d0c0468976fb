"""Run by the Python of the peers: one pair of CTs on one grid of cubic voxels, registered by another program.

    python run_peer.py greedy FOLDER
    python run_peer.py convexadam FOLDER

FOLDER holds fixed.nii.gz and moving.nii.gz, which lie on one another at the start. Writes into it what the program
finds: warp.nii.gz (greedy) or shifts.npy, (X, Y, Z, 3) voxels along the axes of the array (convexAdam).
"""

import sys

program, folder = sys.argv[1:]
if program == "greedy":
    from picsl_greedy import Greedy3D

    Greedy3D().execute(
        "-d 3 -threads 1 -m NCC 2x2x2 -n 100x50x20 "
        f"-i {folder}/fixed.nii.gz {folder}/moving.nii.gz -o {folder}/warp.nii.gz"
    )
else:
    import numpy as np
    import SimpleITK
    import torch
    from convexAdam.convex_adam_MIND import convex_adam_pt

    torch.set_num_threads(1)
    fixed, moving = (
        SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(f"{folder}/{name}.nii.gz")).T.astype(np.float32)
        for name in ("fixed", "moving")
    )
    # Half precision, its default, is for a GPU.
    shifts = convex_adam_pt(
        torch.from_numpy(fixed.copy()), torch.from_numpy(moving.copy()), dtype=torch.float32
    )
    np.save(f"{folder}/shifts.npy", np.asarray(shifts, dtype=np.float32))
