"""Scans in memory: those read last, so that following, measuring and drawing share one reading of a visit."""

from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

from anatomical_embedding.volumes.raw_scan import RawScan, ReadingOptions, read_raw_scan


class RecentScans:
    """Raw scans by their files; reading one more forgets the one that was used longest ago.

    Parameters
    ----------
    num_kept : scans in memory at a time.
    """

    def __init__(self, num_kept: int):
        self._num_kept = num_kept
        self._scans: OrderedDict[Path, tuple[ReadingOptions, RawScan]] = OrderedDict()
        self.checksums: dict[Path, str] = {}
        """Of scans whose files were looked at before, by those who did."""

    def checksum(self, scan: RawScan) -> str:
        """Return the checksum of a scan that was read, the one that is known where there is one."""
        return self.checksums.get(scan.path) or scan.sha256

    def read(self, path: Path, options: ReadingOptions) -> RawScan:
        """Return a scan, read from its file unless it was among the last ones, read by the same options.

        Raises
        ------
        InputFileError
            if it cannot be read.
        """
        earlier, scan = self._scans.get(path, (None, None))
        if scan is not None and earlier is not None and _is_alike(earlier, options, scan):
            self._scans.move_to_end(path)
            return scan
        scan = read_raw_scan(path, options)
        self._scans.pop(path, None)
        while len(self._scans) >= self._num_kept:
            self._scans.popitem(last=False)
        self._scans[path] = (options, scan)
        return scan


def _is_alike(earlier: ReadingOptions, options: ReadingOptions, scan: RawScan) -> bool:
    """Return whether a scan is what other options would read; its modality may be given now that was seen then."""
    return options.modality in (earlier.modality, scan.modality) and replace(
        options, modality=None
    ) == replace(earlier, modality=None)
