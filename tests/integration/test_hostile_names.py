"""Names with blanks, quotes, `$()`, newlines and `..` pass every rule unharmed, or are refused with file and key."""

import csv
import json
import re
from itertools import pairwise

import pytest
import yaml
from snakemake.utils import update_config

from anatomical_embedding.code_fingerprint import REPOSITORY
from tests.integration.noted_commands import environment, noted_commands
from tests.integration.snakemake_run import run_snakemake
from tests.lesion_examples import annotation_row
from tests.registration_pairs import deeds_content

HOSTILE = "a b 'c\" $(touch pwned) `touch pwned`;touch pwned\n&& .. * ? # \\ é"
SPLIT = {"num_test": 1, "num_validation": 1, "seed": 1}
ORGANS = ["liver", "spleen"]


def overlay(folder):
    """Return a run file in which every path and free text is hostile, and write the files that it names."""
    scans, cases, maps, lesions = (folder / f"{HOSTILE} {number}" for number in range(4))
    for number in range(3):
        _touch(scans / f"scan_{number}.nii.gz")
        _touch(cases / f"case_{number}" / "ct.nii.gz")
        _touch(maps / f"case_{number}" / "ct.nii.gz")
        _touch(maps / f"case_{number}" / f"{HOSTILE}.nii.gz")
        for organ in ORGANS:
            _touch(cases / f"case_{number}" / "segmentations" / f"{organ}.nii.gz")
    row = annotation_row()
    annotations = {"0001": row}
    for name in ("validation", "test"):
        changed = {key: row[key].replace("000007", f"00000{len(name)}") for key in ("source", "target")}
        for file in changed.values():
            _touch(lesions / file)
        annotations = {"0001": row | changed}
        (lesions / f"{name}{HOSTILE}.json").write_text(json.dumps(annotations), encoding="utf-8")
    pairs, regions = (folder / f"{HOSTILE} {name}" for name in ("pairs", "regions"))
    for number in range(3):
        for kind in ("0000", "0001"):
            _touch(pairs / f"p{number}_{kind}.nii.gz")
        _touch(regions / f"p{number}_0000.nii.gz")
    moves = {"seed": 1, "max_rotation_degrees": 10, "max_translation_mm": 20, "regions": str(regions)}
    _touch(folder / f"{HOSTILE}.safetensors")
    visits = folder / f"{HOSTILE} visits.csv"
    _write_visits(visits, scans, lesions=folder / f"{HOSTILE} lesions.nii.gz")
    demo = yaml.safe_load((REPOSITORY / "config.yaml").read_text(encoding="utf-8"))
    evaluation = demo["evaluations"]["phantom_ct"] | {"methods": ["nearest"]}
    tracking = demo["trackings"]["phantom_tracking"] | {"dataset": "lesions"}
    changes = {
        "title": HOSTILE,
        "datasets": {
            "phantom_ct": {"num_subjects": 5, "split": SPLIT | {"num_test": 2}},
            "phantom_tracking": {"num_subjects": 3, "split": SPLIT},
            "phantom_pairs": {"num_subjects": 3, "split": SPLIT},
            "scans": {"kind": "folder", "modality": "ct", "root": str(scans), "split": SPLIT},
            "cases": _cases(cases),
            "maps": _cases(maps) | {"label_map": f"{HOSTILE}.nii.gz"},
            "pairs": {"kind": "ct_mr_pairs", "root": str(pairs), "known_move": moves, "split": SPLIT},
            "lesions": {
                "kind": "deeplesion_tracking",
                "root": str(lesions),
                "annotations": {
                    name: str(lesions / f"{name}{HOSTILE}.json") for name in ("validation", "test")
                },
            },
        },
        "models": {
            "sam": {
                "initial_weights": str(folder / f"{HOSTILE}.safetensors"),
                "training": {"mix": {"scans": 1, "phantom_ct": 1}},
                "confidence_folds": 2,
            },
            "sampp": {"confidence_folds": 2},
        },
        "evaluations": {"cases": evaluation | {"dataset": "cases"}, "maps": evaluation | {"dataset": "maps"}},
        "registrations": {
            "cases": {"dataset": "cases", "pairs": [["case_0", "case_1"]], "deeds": deeds_content()},
            "pairs": demo["registrations"]["round_1"] | {"dataset": "pairs"},
        },
        "trackings": {"lesions": tracking},
        "followings": {"clinic": {"visits": str(visits), "model": "sam"}},
    }
    update_config(demo, changes)
    return demo


def _cases(root):
    landmarks = {"liver": ["centroid"]}
    return {
        "kind": "case_folders",
        "modality": "ct",
        "root": str(root),
        "split": SPLIT | {"num_test": 2},
        "organs": ORGANS,
        "landmarks": landmarks,
    }


def _write_visits(path, scans, *, lesions):
    _touch(lesions)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["patient", "visit", "date", "scan", "lesions"])
        table.writerow(["P", "v0", "", scans / "scan_0.nii.gz", lesions])
        table.writerow(["P", "v1", "", scans / "scan_1.nii.gz", ""])


def _touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def run(folder, *arguments):
    snakefile = str(REPOSITORY / "Snakefile")
    return run_snakemake(
        folder,
        *("--snakefile", snakefile, "--cores", "2", "--configfile", "overlay.yaml", *arguments),
        environment=environment(folder),
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile") / HOSTILE
    folder.mkdir()
    (folder / "overlay.yaml").write_text(yaml.safe_dump(overlay(folder)), encoding="utf-8")
    done = run(folder)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return folder, done.stdout + done.stderr


@pytest.mark.slow
def test_every_rule_ran(ran):
    _, said = ran
    written = "".join(path.read_text(encoding="utf-8") for path in (REPOSITORY / "rules").glob("*.smk"))
    rules = set(re.findall(r"^(?:use rule \w+ as|rule) (\w+)", written, flags=re.MULTILINE))
    executed = set(re.findall(r"^(?:local)?rule (\w+):$", said, flags=re.MULTILINE))
    assert executed - {"all"} == rules


@pytest.mark.slow
def test_no_shell_ran_a_name(ran):
    folder, _ = ran
    assert not list(folder.parent.rglob("pwned"))


@pytest.mark.slow
def test_every_name_arrives_whole(ran):
    folder, _ = ran
    commands = noted_commands(folder)
    root = HOSTILE  # in the folder of the run, where paths have one spelling
    expected = {
        f"{root} 0/scan_0.nii.gz",
        f"--label=liver={root} 1/case_1/segmentations/liver.nii.gz",
        f"--label-map={root} 2/case_0/{HOSTILE}.nii.gz",
        f"{root} 3/test{HOSTILE}.json",
        f"--compare={root} 3/test{HOSTILE}.json",
        f"{HOSTILE}: lesions of lesions",
    }
    assert expected <= {word for command in commands for word in command}
    visits = [
        json.loads(command[command.index("--visits") + 1])
        for command in commands
        if command[2].endswith(".follow_visit")
    ]
    assert {listed[0]["lesions"] for listed in visits} == {f"{folder}/{HOSTILE} lesions.nii.gz"}
    settings = [
        json.loads(text)
        for command in commands
        for option, text in pairwise(command)
        if option == "--settings"
    ]
    assert f"{root}.safetensors" in [content.get("initial_weights") for content in settings]
    assert HOSTILE in [content.get("title") for content in settings]
