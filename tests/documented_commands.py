"""The commands and the Python that the documents show, taken from their code blocks."""

import re

from anatomical_embedding.code_fingerprint import REPOSITORY

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ASSIGNMENTS = re.compile(r"([A-Z]+=\S+ ?)+")


def blocks_of(document: str, *, language: str = "") -> list[str]:
    """Return the code blocks of a document in a language; shell commands stand in blocks without one."""
    text = (REPOSITORY / document).read_text(encoding="utf-8")
    return [found[2] for found in BLOCK.finditer(text) if found[1] == language]


def commands_of(document: str) -> list[str]:
    """Return the shell commands of a document, each behind the assignments that stand before it in its block."""
    commands = []
    for block in blocks_of(document):
        assigned = []
        for line in filter(None, (line.partition("  #")[0].strip() for line in block.splitlines())):
            if ASSIGNMENTS.fullmatch(line):
                assigned.append(line)
            else:
                commands.append("\n".join([*assigned, line]))
    return commands
