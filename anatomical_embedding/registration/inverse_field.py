"""The inverse of a deformation, by `deeds invert`."""

from pathlib import Path
from tempfile import TemporaryDirectory

from anatomical_embedding.errors import UserError
from anatomical_embedding.registration.deeds_program import run_invert
from anatomical_embedding.registration.displacement_field import DisplacementField, read_field, write_field


def inverse_deformation(deformation: DisplacementField, *, program: Path) -> DisplacementField:
    """Return the inverse v of a deformation u, on its grid: u(y + v(y)) = -v(y).

    Places where this does not hold within a thousandth of a millimetre are counted in the log.

    Parameters
    ----------
    deformation : zero at its border and beyond, and without folds; linear between its vectors.
    program : deeds.

    Raises
    ------
    UserError
        if the program cannot be run, or there is no space for temporary files.
    """
    try:
        with TemporaryDirectory() as folder:
            field, inverse = Path(folder) / "deformation.nii", Path(folder) / "inverse.nii"
            write_field(deformation, field)
            run_invert(program, field, output=inverse)
            return DisplacementField(read_field(inverse).displacements_mm, deformation.affine)
    except OSError as error:
        raise UserError(
            f"the inverse needs a folder for temporary files ({error}); set TMPDIR to one with room"
        ) from error
