"""Predictions that are there already."""

from pathlib import Path

import pytest

from minebench.errors import Damaged
from pipeline.inference import predict


@pytest.mark.parametrize("content", [b"", b"5", b"\xff", b'{"id": ', b'{"bbox": ["x"]}'])
def test_a_damaged_item_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(Damaged, match=r"a\.json is damaged: remove .* and run `minebench predict` again"):
        predict._content(tmp_path / "a.json")
