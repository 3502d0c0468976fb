"""The command line that makes a phantom."""

import nibabel
import numpy as np
import pandas as pd
import pytest

from anatomical_embedding.errors import SettingsError
from anatomical_embedding.phantom.synthetic_body import make_subject
from tests.phantom_settings import phantom_settings
from workflow_scripts.make_phantom import main

COARSE = {
    "ct.field_of_view.size_vox": [32, 24, 32],
    "ct.field_of_view.spacing_mm": [12 * 0.8] * 3,
    "mr.field_of_view.size_vox": [24, 24, 24],
    "mr.field_of_view.spacing_mm": [10.0] * 3,
    "follow_up.slice_spacings_mm": [10.0],
}


@pytest.mark.slow
def test_all_outputs_agree_with_the_library(tmp_path):
    settings = phantom_settings(COARSE)
    names = ("ct", "labels", "mr", "mr-labels", "follow-up", "follow-up-labels")
    arguments = ["--settings", settings.subject_settings().model_dump_json(), "--subject-index", "3"]
    for name in names:
        arguments += [f"--output-{name}", str(tmp_path / f"{name}.nii.gz")]
    arguments += ["--output-landmarks", str(tmp_path / "landmarks.csv")]
    arguments += ["--output-lesions", str(tmp_path / "lesions.csv")]
    main(arguments)

    subject = make_subject(settings, subject_index=3)
    assert subject.ct is not None
    image = nibabel.load(tmp_path / "ct.nii.gz")
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), subject.ct.volume.array)
    np.testing.assert_allclose(image.affine, subject.ct.volume.affine, atol=1e-4)
    assert (int(image.header["qform_code"]), int(image.header["sform_code"])) == (1, 1)
    labels = nibabel.load(tmp_path / "labels.nii.gz")
    assert labels.get_data_dtype() == np.uint8

    landmarks = pd.read_csv(tmp_path / "landmarks.csv")
    assert list(landmarks.columns) == ["volume_id", "landmark", "x_mm", "y_mm", "z_mm"]
    assert set(landmarks.volume_id) == {f"phantom_003_{scan}" for scan in ("ct", "mr", "ct_follow_up")}
    of_ct = landmarks[landmarks.volume_id == "phantom_003_ct"].set_index("landmark")
    assert set(of_ct.index) == set(subject.ct.landmarks_mm)
    for name, point in subject.ct.landmarks_mm.items():
        np.testing.assert_allclose(of_ct.loc[name, ["x_mm", "y_mm", "z_mm"]].astype(float), point, atol=1e-3)

    lesions = pd.read_csv(tmp_path / "lesions.csv")
    assert len(lesions) == 3 * len(subject.ct.lesions)
    assert lesions.is_inside.dtype == bool


@pytest.mark.slow
def test_only_the_scans_that_are_asked_for_are_written(tmp_path):
    main(
        [
            *(
                "--settings",
                phantom_settings(COARSE).subject_settings().model_dump_json(),
                "--subject-index",
                "0",
            ),
            *("--output-mr", str(tmp_path / "mr.nii.gz")),
            *("--output-landmarks", str(tmp_path / "landmarks.csv")),
            *("--output-lesions", str(tmp_path / "lesions.csv")),
        ]
    )
    assert {path.name for path in tmp_path.iterdir()} == {"mr.nii.gz", "landmarks.csv", "lesions.csv"}
    assert set(pd.read_csv(tmp_path / "landmarks.csv").volume_id) == {"phantom_000_mr"}


def test_a_modality_that_is_not_made_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="modalities: mr is asked for but not listed"):
        main(
            [
                *(
                    "--settings",
                    phantom_settings(COARSE | {"modalities": ["ct"]}).subject_settings().model_dump_json(),
                ),
                *("--subject-index", "0", "--output-mr", str(tmp_path / "mr.nii.gz")),
                *("--output-landmarks", str(tmp_path / "a.csv"), "--output-lesions", str(tmp_path / "b.csv")),
            ]
        )
    assert list(tmp_path.iterdir()) == []
