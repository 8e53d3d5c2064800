import json
import lzma
from collections import Counter

import pandas as pd
import pytest

from replication.config import Corpus, UserError
from replication.corpus import local
from replication.corpus.sources import Position
from replication.progress import Progress


def read(*paths, field="text"):
    skipped = Counter()
    return list(local.texts(Corpus(source="local", paths=tuple(map(str, paths)), text_field=field), Position(), skipped, Progress())), skipped


def test_every_kind_of_file_and_folder(tmp_path):
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "x.txt").write_text("hidden")
    (folder / "a.jsonl").write_text('{"text": "one"}\n\n{"text": " "}\n{"text": "two\\n"}')
    (folder / "deep" / "b.txt").write_text("three")
    (folder / "c.bin").write_bytes(b"\xff")
    with lzma.open(folder / "d.jsonl.xz", "wt") as stream:
        stream.write(json.dumps({"text": "fünf"}) + "\n")
    pd.DataFrame({"text": ["six", "", "eight"], "n": [1, 2, 3]}).to_parquet(folder / "e.parquet")
    alone = tmp_path / "alone.md"
    alone.write_text("nine")
    found, skipped = read(folder, alone)
    assert found == [("a.jsonl:1", "one"), ("a.jsonl:4", "two\n"), ("d.jsonl.xz:1", "fünf"), ("deep/b.txt", "three"),
                     ("e.parquet:0", "six"), ("e.parquet:2", "eight"), ("alone.md", "nine")]
    assert skipped == {"empty": 2}


@pytest.mark.parametrize(("name", "content", "sentence"), [
    ("x.jsonl", b'{"text": "a"}\n{"text": \n', r"x\.jsonl:2 is not JSON"),
    ("x.jsonl", b'{"text": "a"}\n{"text": "\xff"}\n', r"x\.jsonl:2 is not UTF-8 \(byte 10\)"),
    ("x.jsonl", b'{"content": "a", "id": 1}\n', r"x\.jsonl:1 has no 'text'; set corpus.text_field to one of content, id"),
    ("x.jsonl", b'["a"]\n', r"x\.jsonl:1 has no 'text'"),
    ("x.jsonl", b'{"text": 3}\n', r"x\.jsonl:1 has a int in 'text'"),
    ("x.txt", b"abc\xe9", r"x\.txt is not UTF-8 \(byte 3\)"),
    ("x.jsonl.xz", lzma.compress(b'{"text": "a"}\n' * 500)[:-20], r"x\.jsonl\.xz is truncated or not xz"),
    ("x.jsonl.xz", b"not xz at all", r"x\.jsonl\.xz is truncated or not xz"),
    ("x.parquet", b"PAR1 but no more", r"x\.parquet is truncated, not parquet"),
    ("x.csv", b"a,b", r"x\.csv has an unknown suffix"),
])
def test_bad_files_are_named_with_the_place(tmp_path, name, content, sentence):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=sentence) as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_bad_paths_and_columns(tmp_path):
    with pytest.raises(UserError, match="nowhere does not exist"):
        read(tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds no file that ends with"):
        read(tmp_path)
    pd.DataFrame({"content": ["a"]}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(UserError, match=r"no column 'text'; set corpus.text_field to one of content"):
        read(tmp_path / "x.parquet")
    assert read(tmp_path / "x.parquet", field="content")[0] == [("x.parquet:0", "a")]
