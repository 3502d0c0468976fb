"""The measurements of one patient, from the masks in use and the scans alone."""

from anatomical_embedding.follow.decisions import rejected_lesions
from anatomical_embedding.follow.follow_folder import FollowFolder
from anatomical_embedding.follow.history import grid_of, read_scan_of
from anatomical_embedding.follow.measurements import measure_lesions, measurement_row
from anatomical_embedding.follow.recent_scans import RecentScans
from anatomical_embedding.follow.record_json import read_record
from anatomical_embedding.follow.record_tables import write_measurements
from anatomical_embedding.follow.records import MeasurementRow, Visit
from anatomical_embedding.volumes.label_file import read_label_file
from anatomical_embedding.volumes.segments import labels_on_grid
from anatomical_embedding.volumes.volume import Volume


def measure_folder(folder: FollowFolder, recent: RecentScans | None = None) -> list[MeasurementRow]:
    """Measure the lesions of a patient as `measured_rows`, write `measurements.csv` and return its rows."""
    rows = measured_rows(folder, recent)
    write_measurements(rows, folder.measurements)
    return rows


def measured_rows(folder: FollowFolder, recent: RecentScans | None = None) -> list[MeasurementRow]:
    """Return the measurements of every mask of a patient whose answer is not rejected.

    Parameters
    ----------
    recent : scans that are in memory already; None holds one visit at a time.

    Raises
    ------
    UserError
        if a scan or a mask cannot be read, or a mask lies on other voxels than its scan.
    """
    rows = []
    recent = recent or RecentScans(num_kept=1)
    for visit in read_record(folder.record).visits:
        masks, scan = masks_in_use(folder, visit), read_scan_of(visit, recent)
        if masks is not None:
            found = measure_lesions(masks, scan.volume)
            rejected = rejected_lesions(folder.decisions, visit.name)
            rows += [
                measurement_row(lesion, visit.name, each)
                for lesion, each in found.items()
                if lesion not in rejected
            ]
    return rows


def masks_in_use(folder: FollowFolder, visit: Visit) -> Volume | None:
    """Return the lesion numbers at a visit, the corrected ones where there are some; None where there are none.

    Raises
    ------
    InputFileError
        if they lie on other voxels than the scan.
    """
    path = folder.mask_in_use(visit.name)
    if path is None:
        return None
    return labels_on_grid(read_label_file(path).volume, grid_of(visit), path=path)
