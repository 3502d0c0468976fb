"""The stages' commands as the shell hands them over: a `python` that notes its words and makes the named files.

Through `environment()` every rule runs in milliseconds, by its real shell line.
"""

import json
import os
import shlex
import sys
from itertools import pairwise
from pathlib import Path

NOTES = "commands.jsonl"
FIELD_FILES = ("_displacements.dat", "_displacements.json", "_deformed.nii.gz", "_deformed_seg.nii.gz")


def environment(folder: Path) -> dict[str, str]:
    """Return the environment in which bash takes `python` and `cmake` for functions that only note."""
    script = f'() {{ {shlex.quote(sys.executable)} {shlex.quote(__file__)} "$0" "$@"; }}'
    noted = {f"BASH_FUNC_{name}%%": script.replace('"$0"', name) for name in ("python", "cmake")}
    return os.environ | noted | {"NOTES": str(folder / NOTES)}


def noted_commands(folder: Path) -> list[list[str]]:
    """Return the words of every command that ran."""
    return [json.loads(line) for line in (folder / NOTES).read_text(encoding="utf-8").splitlines()]


def note(words: list[str]) -> None:
    """Note the words of a command and make the files below `results` that they name."""
    with Path(os.environ["NOTES"]).open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(words) + "\n")
    if words[0] == "cmake":
        Path("results/deeds/build").mkdir(parents=True, exist_ok=True)
        Path("results/deeds/build/deeds").touch()
        return
    options = pairwise(words)
    for option, value in [
        *options,
        *[word.split("=", 1) for word in words if word.startswith("--output") and "=" in word],
    ]:
        path = Path(value)
        if not option.startswith("--") or not value.startswith("results/") or path.exists():
            continue
        _make(option, path)
    if words[2].endswith(".annotate_phantoms"):
        folder = Path(words[words.index("--output-folder") + 1])
        for split in ("validation", "test"):
            for kind in ("", ".out_of_view"):
                (folder / f"{split}{kind}.json").touch()
    if words[2].endswith(".follow_visit"):
        visits = json.loads(words[words.index("--visits") + 1])
        (Path(words[words.index("--folder") + 1]) / "visits" / f"{visits[-1]['visit']}.csv").touch()
    if words[2].endswith(".report_followed"):
        for name in ("follow.json", "lesions.csv", "measurements.csv", "report.html"):
            (Path(words[words.index("--folder") + 1]) / name).touch()


def _make(option: str, path: Path) -> None:
    """Make the files that an option names; folders that a stage reads are none."""
    if option == "--output-stem":
        for ending in FIELD_FILES:
            path.with_name(path.name + ending).touch()
    elif option == "--output-markups":
        path.mkdir()
    elif not option.endswith("-folder"):
        path.touch()


if __name__ == "__main__":
    note(sys.argv[1:])
