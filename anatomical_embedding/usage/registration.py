"""Two scans registered: a start by matched embeddings, then deeds."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack

import SimpleITK

from anatomical_embedding.errors import InputFileError, UserError
from anatomical_embedding.files import held_folder, require_writable_folder
from anatomical_embedding.progress import track
from anatomical_embedding.registration.deeds_program import require_program
from anatomical_embedding.registration.deformation import TooLittleSharedError, deform
from anatomical_embedding.registration.displacement_field import DisplacementField
from anatomical_embedding.registration.field_doubt import FieldDoubt, agreement_in, within_body
from anatomical_embedding.registration.guided_start import GuidedStart, given_start
from anatomical_embedding.registration.initial.read import MatrixProgram, read_initial_start
from anatomical_embedding.registration.installed_program import installed_program
from anatomical_embedding.registration.itk_transform import resample_by_itk
from anatomical_embedding.registration.pair_map import PairMap
from anatomical_embedding.registration.program_files import PROGRAMS
from anatomical_embedding.registration.registered_scans import described_scans
from anatomical_embedding.registration.shared_view import seen_from, shared_box
from anatomical_embedding.settings.registration import DeedsSettings
from anatomical_embedding.usage.model import Model
from anatomical_embedding.usage.scans import embed_raw_scan, prepare_raw_scan, read_scan
from anatomical_embedding.usage.turned_scans import number_of_best, try_ways
from anatomical_embedding.volumes.prepare import PreparedVolume
from anatomical_embedding.volumes.raw_scan import RawScan, Reading
from anatomical_embedding.volumes.straight_grid import straight_grid
from anatomical_embedding.volumes.volume import Volume

if TYPE_CHECKING:
    from anatomical_embedding.volumes.dicom_source import DicomSource


@dataclass(frozen=True)
class ScanRegistration:
    """Two registered scans.

    Attributes
    ----------
    start : the map that was given, or that matches agree on, or why there is none; then the bodies were centred on one
        another.
    field : deformation in the fixed world, before the start.
    fixed, moving : the raw scans.
    remarks : what was corrected or chosen when they were read, a sentence each that begins with the path.
    sources : the fixed and the moving scan as DICOM objects refer to them, for `--transforms dicom`.
    doubt : mm by which a fixed place may be carried wrong, in the fixed world; None between scans that are not both
        CTs, where no start was found, and where the scans agree less than two of one patient.
    agreement : median local correlation of two CTs in the body of the fixed one, once registered; None as above for
        other scans.
    scans : what tells the two scans again, from `registered_scans.described_scans`.
    program : deeds, which makes the inverse; None for the one that came with the installation.
    """

    start: GuidedStart
    field: DisplacementField
    fixed: Volume
    moving: Volume
    remarks: tuple[str, ...] = ()
    sources: "tuple[DicomSource, DicomSource] | None" = None
    doubt: Volume | None = None
    agreement: float | None = None
    scans: Mapping[str, Any] | None = None
    program: Path | None = None

    @cached_property
    def pair_map(self) -> PairMap:
        """The map in its parts, for the files of other programs."""
        fixed, moving = self.fixed, self.moving
        return PairMap(
            self.start.matrix,
            self.field,
            straight_grid(fixed),
            straight_grid(moving),
            fixed_fill=float(fixed.array.min()),
            moving_fill=float(moving.array.min()),
            sources=self.sources,
            scans=self.scans,
            program=self.program,
        )

    @property
    def forward(self) -> SimpleITK.Transform:
        """ITK transform of fixed to moving points, LPS mm; with it ITK resamples the moving scan onto the fixed."""
        return self.pair_map.forward

    @property
    def inverse(self) -> SimpleITK.Transform:
        """ITK transform of moving to fixed points, LPS mm."""
        return self.pair_map.inverse

    def warped(self) -> Volume:
        """Return the moving scan on the grid of the fixed one, interpolated once.

        Where the axes of the fixed scan are skewed the grid is one with right angles that covers it: ITK programs would
        refuse the file.
        """
        return resample_by_itk(self.forward, self.moving, straight_grid(self.fixed))


def register_scans(
    model: Model,
    fixed: Path | str | RawScan,
    moving: Path | str | RawScan,
    *,
    folder: Path | str,
    initial: Path | str | None = None,
    initial_program: MatrixProgram | None = None,
    program: Path | str | None = None,
    threads: int | None = None,
    **reading: Unpack[Reading],
) -> ScanRegistration:
    """Return two raw scans registered: a start by matches or a given one, then deeds where both show the body.

    Parameters
    ----------
    model : from `load_model`; it knows both kinds of scan.
    fixed, moving : files or folders of scans, in every format that `read_scan` takes, or scans from it.
    folder : for the program's files, which stay there.
    initial : start of another program (docs/transforms.md); None looks for one by matched embeddings.
    initial_program : that a 4x4 matrix in text comes from.
    program : deeds; None for the one that came with the installation.
    threads : that the program uses; None for as many as this process may use cores.
    reading : as in `read_scan`, of both scans.

    Raises
    ------
    UserError
        as `embed_scan`, and if the scans share no place, the program does not run or refuses them, or the folder cannot
        be written or another command is writing into it; what shows before the scans are embedded is told then.
    """
    settings = model.card.usage.scan_registration
    program = installed_program() if program is None else Path(program)
    require_program(program)
    require_writable_folder(folder)
    raw = [
        scan if isinstance(scan, RawScan) else read_scan(model, scan, **reading) for scan in (fixed, moving)
    ]
    with held_folder(folder):
        begun = _begin(model, raw[0], raw[1], initial=initial, initial_program=initial_program)
        try:
            deformation = deform(
                program,
                begun.fixed.image,
                begun.moving.image,
                matrix=begun.start.matrix,
                moving_labels=None,
                settings=settings.deeds,
                output_stem=Path(folder) / "deeds",
                threads=threads or len(os.sched_getaffinity(0)),
                modalities=(raw[0].modality, raw[1].modality),
                with_image=False,
                scans=(raw[0].volume, raw[1].volume),
                body=begun.fixed.body_mask,
            )
        except TooLittleSharedError as error:
            raise InputFileError(
                raw[1].path, f"cannot be registered to {raw[0].path}: {error.problem}"
            ) from error
    agreement, doubt, remarks = _known_doubt(deformation.doubt, begun, settings.deeds, raw)
    return ScanRegistration(
        begun.start,
        deformation.field,
        raw[0].volume,
        raw[1].volume,
        (*begun.remarks, *(f"{raw[1].path}: {remark}" for remark in deformation.remarks), *remarks),
        doubt=doubt,
        agreement=agreement,
        scans=described_scans(raw[0], raw[1]),
        program=program.resolve(),
    )


def _known_doubt(
    doubt: FieldDoubt | None, begun: "_Begun", settings: DeedsSettings, raw: Sequence[RawScan]
) -> tuple[float | None, Volume | None, list[str]]:
    """Return how well two scans agree, their doubt within the body where it is known, and a remark where it is not."""
    limits = None if settings.descent is None else settings.descent.doubt
    if doubt is None or limits is None:
        return None, None, []
    body = begun.fixed.body_mask
    agreement = agreement_in(doubt, body)
    if begun.start.status == "failed":
        return agreement, None, []
    if not agreement >= limits.min_agreement:  # NaN as well
        remark = (
            f"{raw[1].path}: no doubt.nii.gz: once registered, it and {raw[0].path} agree by a local correlation of "
            f"{agreement:.3f}; two scans of one patient reach {limits.min_agreement:g}"
        )
        return agreement, None, [remark]
    return agreement, within_body(doubt.radius_mm, body, largest_mm=limits.largest_mm), []


def write_transforms(found: ScanRegistration, folder: Path | str, *, programs: Iterable[str]) -> None:
    """Write a registration as other programs read it; docs/transforms.md has the names, files and commands.

    Parameters
    ----------
    programs : among the keys of `registration.program_files.PROGRAMS`, such as `itk` and `greedy`.

    Raises
    ------
    UserError
        if a program is unknown, or wants what these scans do not have.
    """
    programs = list(programs)
    unknown = [name for name in programs if name not in PROGRAMS]
    if unknown:
        raise UserError(f"expected names of {', '.join(PROGRAMS)}, got {unknown[0]!r}")
    for write in dict.fromkeys(PROGRAMS[name].write for name in programs):  # some read the same files
        write(found.pair_map, Path(folder))


class _Begun(NamedTuple):
    """The prepared scans and their start, with what is to be said of them."""

    fixed: PreparedVolume
    moving: PreparedVolume
    start: GuidedStart
    remarks: tuple[str, ...]


def _begin(
    model: Model,
    fixed: RawScan,
    moving: RawScan,
    *,
    initial: Path | str | None,
    initial_program: MatrixProgram | None,
) -> _Begun:
    """Prepare two scans and find their start; one that is given needs no embedding."""
    if initial is not None:
        given = read_initial_start(Path(initial), fixed=fixed, moving=moving, program=initial_program)
        prepared = [prepare_raw_scan(model, scan) for scan in (fixed, moving)]
        if shared_box(prepared[0].image, seen_from(prepared[1].image, given.matrix)) is None:
            raise InputFileError(
                initial,
                f"maps no part of {fixed.path} into {moving.path}; it leads the other way, or is of other scans",
            )
        remarks = (*given.remarks, *prepared[0].remarks, *prepared[1].remarks)
        return _Begun(prepared[0], prepared[1], given_start(given.matrix), remarks)
    (first, first_embedded), (second, second_embedded) = (
        embed_raw_scan(model, scan, within_body=True)
        for scan in track((fixed, moving), description="embedding scans", total=2)
    )
    fit = model.card.usage.scan_registration.fit
    tried = try_ways(model, (first, first_embedded), (second, second_embedded), fit=fit)
    starts = [start for _, start in tried]
    best = number_of_best(starts)
    remarks = (*first_embedded.remarks, *second_embedded.remarks)
    if best > 0:
        remarks = (*remarks, f"{moving.path}: lies otherwise than {fixed.path}; it was turned to be matched")
    return _Begun(first, second, starts[best], remarks)
