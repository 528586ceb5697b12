from __future__ import annotations

import hashlib
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acne_edge.errors import UsageError
from acne_edge.records import chain

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(min_size=1), JSON, max_size=4), st.integers(1, 10**9))
def test_what_is_written_is_read(content: dict[str, object], n: int) -> None:
    content = {k: v for k, v in content.items() if k not in ("n", "previous", "hash")}
    raw, digest = chain.write_line(content, n, "0" * 64)
    line = chain.read_line(raw.rstrip(b"\n"))
    assert (line.n, line.hash, line.previous) == (n, digest, "0" * 64)
    assert line.content == {**content, "n": n, "previous": "0" * 64}
    assert raw.count(b"\n") == 1


def test_the_hash_can_be_checked_without_this_package() -> None:
    raw, digest = chain.write_line({"kind": "photograph", "name": "é \udce9"}, 2, None)
    without = re.sub(rb',"hash":"[0-9a-f]*"}$', b"}", raw.rstrip(b"\n"))
    assert hashlib.sha256(without).hexdigest() == digest == json.loads(raw)["hash"]


@given(st.binary(max_size=200))
def test_anything_else_is_no_line(data: bytes) -> None:
    with pytest.raises(chain.NotALineError):
        chain.read_line(data)


@given(st.data())
def test_a_change_of_any_byte_is_seen(data: st.DataObject) -> None:
    raw, _ = chain.write_line({"kind": "photograph", "count": 3.5, "name": "a.jpg"}, 2, "ab" * 32)
    raw = raw.rstrip(b"\n")
    place = data.draw(st.integers(0, len(raw) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda value: value != raw[place]))
    with pytest.raises(chain.NotALineError):
        chain.read_line(raw[:place] + bytes([other]) + raw[place + 1 :])


@pytest.mark.parametrize(
    "text",
    [
        '{"kind":"x","n":2,"previous":null, "a":1}',  # a blank
        '{"n":2,"kind":"x","previous":null}',  # another order
        '{"kind":"x","n":2,"n":3,"previous":null}',  # two readers may take two values
        '{"kind":"x","n":2.0,"previous":null}',
        '{"kind":"x","n":2,"previous":7}',
        '{"count":NaN,"n":2,"previous":null}',
        "[" * 5000 + "]" * 5000 + "}",
    ],
)
def test_a_line_with_a_right_hash_must_be_canonical_too(text: str) -> None:
    digest = hashlib.sha256(text.encode()).hexdigest()
    with pytest.raises(chain.NotALineError):
        chain.read_line(text[:-1].encode() + f',"hash":"{digest}"}}'.encode())


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"format": "other", "version": "1.0"}, "no record"),
        ({"format": chain.FORMAT, "version": "2.0"}, "update acne-edge"),
        ([], "no record"),
    ],
)
def test_a_header_of_another_format_or_version_is_refused(content: object, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        chain.check_header(json.dumps(content).encode(), "x.jsonl")
    chain.check_header(json.dumps({"format": chain.FORMAT, "version": "1.7"}).encode(), "x.jsonl")
