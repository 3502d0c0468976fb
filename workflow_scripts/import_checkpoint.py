"""Turn a published checkpoint (.pth) into a checkpoint of this project.

python -m workflow_scripts.import_checkpoint --input uae_s.pth --output model.safetensors
"""

import argparse

from anatomical_embedding.files import sha256_of_file
from anatomical_embedding.networks.checkpoint import save_checkpoint
from anatomical_embedding.networks.published import PUBLISHED_PREPROCESSING, load_published
from workflow_scripts.command_line import existing_file, output_file, run_stage


def main(arguments: list[str]) -> None:
    """Read the published file, check it, and write the checkpoint."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--input", required=True, type=existing_file, help="published checkpoint (.pth)")
    parser.add_argument(
        "--output", required=True, type=output_file, help="checkpoint to write (.safetensors)"
    )
    options = parser.parse_args(arguments)
    metadata = {
        "provenance": {
            "imported_from": options.input.name,
            "imported_sha256": sha256_of_file(options.input),
        },
        "preprocessing": PUBLISHED_PREPROCESSING,
    }
    save_checkpoint(options.output, load_published(options.input), metadata=metadata)


if __name__ == "__main__":
    run_stage(main)
