"""The errors that a user can fix.

Every error raised for bad input derives from `UserError`; the command lines turn it into one line on standard
error and exit code 2. Its message says what is wrong, where (file, row, key), what was expected and got, and what
to do about it. Anything else that is raised is a defect of the program and keeps its traceback.
"""

from pathlib import Path


class UserError(Exception):
    """Bad input, told in one sentence that names file or key."""


class SettingsError(UserError):
    """A value in the configuration is missing, unknown or out of range."""


class InputFileError(UserError):
    """A file cannot be used; the message begins with its path.

    Parameters
    ----------
    path : path of the file at fault.
    problem : what is wrong, what was expected and what to do.

    Examples
    --------
    >>> str(InputFileError("scans/a.nii.gz", "has 4 axes, expected 3; split the series into volumes first"))
    'scans/a.nii.gz: has 4 axes, expected 3; split the series into volumes first'
    """

    def __init__(self, path: Path | str, problem: str):
        super().__init__(f"{path}: {problem}")
        self.path = Path(path)
        self.problem = problem


class OutputFileError(UserError):
    """A file cannot be written; the message begins with its path.

    Parameters
    ----------
    path : path of the file that was to be written.
    problem : what is wrong and what to do.
    """

    def __init__(self, path: Path | str, problem: str):
        super().__init__(f"{path}: {problem}")
