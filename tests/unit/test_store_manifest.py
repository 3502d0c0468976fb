"""Tests of anatomical_embedding.embedding.store_manifest."""

import pytest

from anatomical_embedding.embedding.store_manifest import read_store_manifest, write_store_manifest
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.files import sha256_of_file


def test_paths_are_relative_and_the_folder_can_be_moved(tmp_path):
    store = tmp_path / "run" / "stores" / "b.safetensors"
    store.parent.mkdir(parents=True)
    store.write_bytes(b"vectors")
    write_store_manifest({"b": store, "a": store}, tmp_path / "run" / "stores.csv")
    assert (tmp_path / "run" / "stores.csv").read_text(encoding="utf-8").splitlines() == [
        "volume_id,store_path,sha256",
        f"a,stores/b.safetensors,{sha256_of_file(store)}",
        f"b,stores/b.safetensors,{sha256_of_file(store)}",
    ]
    (tmp_path / "run").rename(tmp_path / "moved")
    moved = tmp_path / "moved" / "stores" / "b.safetensors"
    assert read_store_manifest(tmp_path / "moved" / "stores.csv") == {"a": moved, "b": moved}


def test_a_store_elsewhere_is_refused(tmp_path):
    store = tmp_path / "b.safetensors"
    store.write_bytes(b"vectors")
    with pytest.raises(InputFileError, match="lies outside its folder"):
        write_store_manifest({"b": store}, tmp_path / "run" / "stores.csv")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: is empty"),
        ("volume_id,path\n", "line 1: expected the columns volume_id,store_path,sha256; missing: store_path"),
        ("volume_id,store_path,sha256\na,b\n", "line 2: has 2 cells, expected 3"),
        (
            "volume_id,store_path,sha256\na,../b,0\n",
            r"line 2, store_path: expected a path below.*got '\.\./b'",
        ),
        ("volume_id,store_path,sha256\na,/b,0\n", "line 2, store_path: expected a path below"),
        ("volume_id,store_path,sha256\na,b,0\na,c,0\n", "line 3: volume_id 'a' repeats line 2"),
    ],
)
def test_broken_lists_are_refused(tmp_path, text, message):
    path = tmp_path / "stores.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputFileError, match=message):
        read_store_manifest(path)


def test_a_missing_list_is_named(tmp_path):
    with pytest.raises(InputFileError, match=r"none\.csv: cannot be read as a CSV table"):
        read_store_manifest(tmp_path / "none.csv")
