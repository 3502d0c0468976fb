"""CSV tables are read strictly."""

import pytest

from anatomical_embedding.csv_table import read_csv_table
from anatomical_embedding.errors import InputFileError


def test_rows_come_with_their_line(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("\ufeffa,b\n1,2\n\n3,\n", encoding="utf-8")
    assert read_csv_table(path) == (["a", "b"], [(2, {"a": "1", "b": "2"}), (4, {"a": "3", "b": ""})])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"a,a\n1,2\n", "names a column twice"),
        (b"a,b\n1,2\n3\n", "line 3: has 1 cells, expected 2"),
        (b"a,b\n1,2,3\n", "line 2: has 3 cells"),
        (b"a,b\n\xff\xfe,2\n", "is not a CSV file in UTF-8"),
        (b'a,b\n"1,2\n', "is not a CSV file"),
    ],
)
def test_malformed_tables_are_refused(tmp_path, content, message):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(InputFileError, match=message):
        read_csv_table(path)
