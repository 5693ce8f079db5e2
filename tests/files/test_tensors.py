"""The signed tensor file: the bytes it has, what is found of damage, and how little a hostile one takes."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch

from seqtool.errors import InputError
from seqtool.files.tensors import (
    AS_GIVEN,
    BY_WIDTH,
    HASHED_BYTES,
    MAX_HEADER_BYTES,
    METADATA,
    NAMES,
    TensorLayout,
    map_arrays,
    open_tensors,
    parse_header,
    write_tensors,
)
from seqtool.files.writing import canonical_sha256
from tests.conftest import ROOT

SAID = {"format": "seqtool test 1", "made": {"by": "a test — in UTF-8"}, "list": [1, 2.5, None]}
NOT_OURS = "not a test's file: make it"


def every_type() -> dict[str, torch.Tensor]:
    """A tensor of every type, of odd sizes, among them none and one number, named so that no order is the given one."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(3,), (2, 3), (), (0, 4), (5, 1, 3)]
    return {
        f"{index * 7 % 13}/{name}": torch.randint(0, 2, shapes[index % len(shapes)], generator=generator).to(
            getattr(torch, name)
        )
        for index, name in enumerate(NAMES.values())
    }


def arrays() -> dict[str, np.ndarray]:
    return {
        "vectors": np.arange(15, dtype=np.float32).reshape(3, 5),
        "ends": np.array([1, 2, 9]),
        "none": np.empty((0, 5), np.float32),
        "text": np.frombuffer(b"some bytes", np.uint8),
    }


EXPECTED = {"vectors": ("F32", 2), "ends": ("I64", 1), "none": ("F32", 2), "text": ("U8", 1)}


def read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    with open_tensors(path) as content:
        return content.tensors(), content.metadata


def with_header(path: Path, header: bytes, data: bytes = b"") -> Path:
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)
    return path


def test_tensors_of_every_type_come_back_bit_for_bit(tmp_path: Path):
    tensors = every_type()
    write_tensors(tmp_path / "t", tensors, SAID)
    found, metadata = read(tmp_path / "t")
    assert metadata == SAID
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape)
        assert torch.equal(found[name], tensor)
        assert found[name].storage_offset() == 0  # torch.set_rng_state reads from there
        found[name].zero_()  # and the file stays what it is
    again, _ = read(tmp_path / "t")
    assert all(torch.equal(again[name], tensor) for name, tensor in tensors.items())


def test_the_bytes_are_those_that_the_library_of_safetensors_writes(tmp_path: Path):
    """As weights and checkpoints were written before: by the library, with this hash."""
    tensors = every_type()
    digest = hashlib.sha256(canonical_sha256(SAID).encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}\n".encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().tobytes())
    signed = {**SAID, "sha256": digest.hexdigest()}
    before = safetensors.torch.save(tensors, {METADATA: json.dumps(signed)})
    (tmp_path / "before").write_bytes(before)
    assert read(tmp_path / "before")[1] == SAID
    write_tensors(tmp_path / "now", tensors, SAID)
    assert (tmp_path / "now").read_bytes() == before


def test_vectors_that_were_written_before_are_read_and_written_to_the_same_bytes(tmp_path: Path):
    """As vectors and embeddings' checkpoints were written before: in the order given, hashed in pieces of 4 MiB."""
    parts = {**arrays(), "large": np.arange((HASHED_BYTES + 999) // 4, dtype=np.float32)}
    joined, entries, start = b"".join(part.tobytes() for part in parts.values()), {}, 0
    for name, part in parts.items():
        dtype = {"f4": "F32", "i8": "I64", "u1": "U8"}[part.dtype.str[1:]]
        entries[name] = {"dtype": dtype, "shape": list(part.shape), "data_offsets": [start, start + part.nbytes]}
        start += part.nbytes
    pieces = [joined[place : place + HASHED_BYTES] for place in range(0, len(joined), HASHED_BYTES)]
    assert len(pieces) == 2
    digest = hashlib.sha256(canonical_sha256(SAID).encode())
    for piece in pieces:
        digest.update(hashlib.sha256(piece).digest())
    signed = json.dumps({**SAID, "sha256": digest.hexdigest()}, sort_keys=True)
    header = json.dumps({"__metadata__": {METADATA: signed}, **entries}).encode()
    length = -(-(8 + len(header)) // 64) * 64 - 8
    before = length.to_bytes(8, "little") + header.ljust(length) + joined
    (tmp_path / "before").write_bytes(before)
    expected = {**EXPECTED, "large": ("F32", 1)}
    found, metadata = map_arrays(tmp_path / "before", expected, "seqtool test 1", NOT_OURS)
    assert metadata == SAID
    assert all(np.array_equal(found[name], part) for name, part in parts.items())
    write_tensors(tmp_path / "now", parts, SAID, AS_GIVEN)
    assert (tmp_path / "now").read_bytes() == before
    assert safetensors.numpy.load_file(tmp_path / "now")["vectors"].tolist() == parts["vectors"].tolist()


def test_arrays_are_mapped_and_cannot_be_written_to(tmp_path: Path):
    write_tensors(tmp_path / "a", arrays(), SAID, AS_GIVEN)
    found, _ = map_arrays(tmp_path / "a", EXPECTED, "seqtool test 1", NOT_OURS)
    assert list(found) == list(EXPECTED)
    with pytest.raises(ValueError, match="read-only"):
        found["vectors"][0] = 1
    write_tensors(tmp_path / "b", found, SAID, AS_GIVEN)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_either_layout_is_read_as_torch_and_as_numpy(tmp_path: Path):
    for layout in (BY_WIDTH, AS_GIVEN):
        write_tensors(tmp_path / "a", arrays(), SAID, layout)
        with open_tensors(tmp_path / "a") as content:
            as_torch, as_numpy = content.tensors(), content.arrays()
            assert content.numbers == 15 + 3 + 10
        for name, array in arrays().items():
            assert np.array_equal(as_torch[name].numpy(), array)
            assert np.array_equal(as_numpy[name], array)


def changes_not_found(path: Path, read: Callable[[Path], Any], place_of_spaces: range) -> int:
    """How many bytes of a file can change without a refusal; the test fails where such a byte said something."""
    content, draw, passed = path.read_bytes(), random.Random(0), 0
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1 << draw.randrange(8)
        path.write_bytes(changed)
        try:
            read(path)
        except InputError:
            continue
        passed += 1
        assert place in place_of_spaces
        assert content[place : place + 1] == b" "
    return passed


def test_any_changed_byte_of_what_a_file_says_is_found(tmp_path: Path):
    write_tensors(tmp_path / "t", {"b": torch.arange(6.0).reshape(2, 3), "a": torch.tensor([1, 2])}, SAID)
    length = int.from_bytes((tmp_path / "t").read_bytes()[:8], "little")
    changes_not_found(tmp_path / "t", read, range(8, 8 + length))


def test_any_changed_byte_of_mapped_arrays_is_found(tmp_path: Path):
    write_tensors(tmp_path / "a", arrays(), SAID, AS_GIVEN)
    assert not changes_not_found(
        tmp_path / "a", lambda path: map_arrays(path, EXPECTED, "seqtool test 1", NOT_OURS), range(0)
    )


def test_swapped_names_and_shapes_of_weights_are_found(tmp_path: Path):
    write_tensors(tmp_path / "t", {"aa": torch.arange(6.0).reshape(2, 3), "bb": torch.ones(2, 3)}, SAID)
    content = (tmp_path / "t").read_bytes()
    for old, new in ((b"[2,3]", b"[3,2]"), (b"F32", b"I32"), (b'"aa"', b'"cc"')):
        (tmp_path / "d").write_bytes(content.replace(old, new))
        with pytest.raises(InputError, match="damaged or edited"):
            read(tmp_path / "d")


def test_what_was_cut_short_or_added_to_is_refused(tmp_path: Path):
    write_tensors(tmp_path / "t", every_type(), SAID)
    content = (tmp_path / "t").read_bytes()
    for length in range(len(content)):
        (tmp_path / "d").write_bytes(content[:length])
        with pytest.raises(InputError):
            read(tmp_path / "d")
    (tmp_path / "d").write_bytes(content + b"\0")
    with pytest.raises(InputError, match="cut short or added to"):
        read(tmp_path / "d")


def entry(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


SIGNED = {METADATA: json.dumps({**SAID, "sha256": "0" * 64})}
HOSTILE: dict[str, dict[str, Any]] = {
    "a place beyond the file": {"a": entry(shape=[200], offsets=[0, 800])},
    "an enormous shape": {"a": entry(shape=[1 << 60, 1 << 60], offsets=[0, 8])},
    "an enormous shape of no numbers": {"a": entry(shape=[0, 1 << 62, 1 << 62], offsets=[0, 0]), "b": entry()},
    "more dimensions than there are": {"a": entry(shape=[1] * 1000 + [2])},
    "negative sizes": {"a": entry(shape=[-1, -2])},
    "a negative place": {"a": entry(offsets=[-8, 0])},
    "an end before its beginning": {"a": entry(offsets=[8, 0])},
    "tensors on each other": {"a": entry(), "b": entry()},
    "tensors that overlap": {"a": entry(), "b": entry(shape=[1], offsets=[4, 8])},
    "a gap": {"a": entry(shape=[1], offsets=[0, 4]), "b": entry("U8", [1], [7, 8])},
    "a gap before the first": {"a": entry(shape=[1], offsets=[4, 8])},
    "a wider type": {"a": entry("F64")},
    "a narrower type": {"a": entry("F16")},
    "a type that there is not": {"a": entry("F31")},
    "a type that is no name": {"a": entry(["F32"])},
    "a shape of fractions": {"a": entry(shape=[2.0])},
    "a shape of truths": {"a": entry(shape=[True, 2])},
    "a shape of text": {"a": entry(shape="2")},
    "places that are none": {"a": entry(offsets=None)},
    "three places": {"a": entry(offsets=[0, 4, 8])},
    "something more in an entry": {"a": {**entry(), "more": 1}},
    "something missing in an entry": {"a": {"dtype": "F32", "shape": [2]}},
    "an entry that is none": {"a": 1},
}


@pytest.mark.parametrize("entries", HOSTILE.values(), ids=HOSTILE)
def test_a_header_that_lies_is_refused_before_anything_is_read(tmp_path: Path, entries: dict[str, Any]):
    header = json.dumps({"__metadata__": SIGNED, **entries}).encode()
    file = with_header(tmp_path / "t", header, bytes(8))
    with pytest.raises(InputError, match=r"damaged or edited|cut short"), open_tensors(file):
        pass


def test_the_smallest_header_is_no_lie(tmp_path: Path):
    """What the refusals above have in common is the lie, not the header."""
    header = json.dumps({"__metadata__": SIGNED, "a": entry()}).encode()
    with open_tensors(with_header(tmp_path / "t", header, bytes(8))) as content:
        assert content.numbers == 2
        with pytest.raises(InputError, match="other bytes than were written"):
            content.tensors()


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"__metadata__": 1}',
        b'{"__metadata__": {"seqtool": "[]"}}',
        b'{"__metadata__": {"seqtool": {}}}',
        b'{"__metadata__": {"seqtool": "{"}}',
        b'{"__metadata__": {"format": "pt"}}',
        b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"__metadata__": {"seqtool": "' + b"[" * 100_000 + b'"}}',
        b'{"a": NaN, "__metadata__": {"seqtool": "{}"}}',
        b'{"a": {"dtype": "F32", "shape": [NaN], "data_offsets": [0, Infinity]}, "__metadata__": {"seqtool": "{}"}}',
        b'{"a": {"dtype": "F32", "shape": [' + b"9" * 5000 + b'], "data_offsets": [0, 8]}}',
    ],
    ids=range(17),
)  # fmt: skip
def test_a_header_of_something_else_is_refused_as_not_ours(tmp_path: Path, header: bytes):
    file = with_header(tmp_path / "t", header, bytes(8))
    with pytest.raises(InputError) as refused, open_tensors(file, NOT_OURS):
        pass
    assert str(refused.value) == f"{file} is {NOT_OURS}"


def test_a_name_twice_is_refused():
    said = json.dumps({"__metadata__": SIGNED, "a": entry(), "b": entry(offsets=[8, 16])}).replace('"b"', '"a"')
    with pytest.raises(ValueError, match="twice"):
        parse_header(said.encode())
    twice = said.replace('"shape": [2], ', '"shape": [2], "shape": [2], ', 1)
    with pytest.raises(ValueError, match="twice"):
        parse_header(twice.encode())


@pytest.mark.parametrize("length", [0, 1, 1 << 40, (1 << 64) - 1, 41])
def test_a_header_longer_than_the_file_is_refused(tmp_path: Path, length: int):
    (tmp_path / "t").write_bytes(length.to_bytes(8, "little") + bytes(40))
    with pytest.raises(InputError, match="not a whole tensor file"), open_tensors(tmp_path / "t"):
        pass


def test_a_header_longer_than_any_is_refused(tmp_path: Path):
    header = json.dumps({"__metadata__": SIGNED, "a": entry()}).encode()
    with open_tensors(with_header(tmp_path / "t", header.ljust(MAX_HEADER_BYTES), bytes(8))):
        pass
    with_header(tmp_path / "t", header.ljust(MAX_HEADER_BYTES + 1), bytes(8))
    with pytest.raises(InputError, match="not a whole tensor file"), open_tensors(tmp_path / "t"):
        pass


def test_a_tensor_at_an_odd_address_is_put_at_an_even_one(tmp_path: Path):
    """Only another program lays tensors so; torch's kernels may count on the address."""
    tensors = {"flag": torch.tensor([True]), "values": torch.arange(3.0)}
    write_tensors(tmp_path / "t", tensors, SAID, AS_GIVEN)
    found, _ = read(tmp_path / "t")
    assert found["values"].tolist() == [0, 1, 2]
    assert found["values"].data_ptr() % 4 == 0


def test_files_of_another_kind_are_refused_with_the_mend(tmp_path: Path):
    write_tensors(tmp_path / "a", arrays(), SAID, AS_GIVEN)
    with pytest.raises(InputError, match=NOT_OURS):
        map_arrays(tmp_path / "a", EXPECTED, "seqtool test 2", NOT_OURS)
    with pytest.raises(InputError, match="damaged or edited"):
        map_arrays(tmp_path / "a", {**EXPECTED, "ends": ("U32", 1)}, "seqtool test 1", NOT_OURS)
    with pytest.raises(InputError, match="damaged or edited"):
        map_arrays(tmp_path / "a", dict(reversed(EXPECTED.items())), "seqtool test 1", NOT_OURS)
    for path, message in ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(InputError, match=f"cannot read .*{message}"), open_tensors(path):
            pass


def test_what_is_open_stays_the_file_that_was_opened(tmp_path: Path):
    """A training that goes on replaces its weights while another reads them."""
    write_tensors(tmp_path / "t", {"a": torch.zeros(3)}, SAID)
    with open_tensors(tmp_path / "t") as content:
        write_tensors(tmp_path / "t", {"a": torch.ones(3)}, SAID)
        assert content.tensors()["a"].tolist() == [0, 0, 0]
    assert read(tmp_path / "t")[0]["a"].tolist() == [1, 1, 1]


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on memory")
@pytest.mark.parametrize("entries", [HOSTILE["an enormous shape"], HOSTILE["a place beyond the file"]])
@pytest.mark.parametrize("length", [None, 1 << 40])
def test_no_memory_is_taken_that_the_file_does_not_bear_out(
    tmp_path: Path, entries: dict[str, Any], length: int | None
):
    """Under a limit little above what the interpreter has, a small file that promises 10^18 bytes is refused."""
    header = json.dumps({"__metadata__": SIGNED, **entries}).encode()
    file = with_header(tmp_path / "t", header, bytes(8))
    if length:
        file.write_bytes(length.to_bytes(8, "little") + file.read_bytes()[8:])
    code = f"""
import resource
from pathlib import Path
from seqtool.errors import InputError
from seqtool.files.tensors import open_tensors
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + (8 << 20), resource.RLIM_INFINITY))
try:
    with open_tensors(Path({str(file)!r})) as content:
        content.arrays()
except InputError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT, text=True)
    assert str(file) in result.stdout, result.stderr


def test_writing_takes_no_second_copy_of_the_values(tmp_path: Path):
    """64 MiB of values are written under a limit of 16 MiB more than they take."""
    code = f"""
import resource
from pathlib import Path
import numpy as np
from seqtool.files.tensors import write_tensors
values = np.zeros(16 << 20, np.float32)
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + (16 << 20), resource.RLIM_INFINITY))
write_tensors(Path({str(tmp_path / "t")!r}), {{"a": values}}, {{"format": "seqtool test 1"}})
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT, text=True)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "t").stat().st_size > 64 << 20


def test_reading_arrays_needs_neither_torch_nor_the_library(tmp_path: Path):
    write_tensors(tmp_path / "a", arrays(), SAID, AS_GIVEN)
    code = (
        "import sys; from pathlib import Path; from seqtool.files.tensors import open_tensors\n"
        f"with open_tensors(Path({str(tmp_path / 'a')!r})) as content: content.arrays()\n"
        "print([name for name in ('torch', 'safetensors') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT, text=True)
    assert result.stdout == "[]\n", result.stderr


CHANGES: list[Callable[[bytes, random.Random], bytes]] = [
    lambda content, draw: content[: draw.randrange(len(content))],
    lambda content, draw: content + draw.randbytes(draw.randrange(1, 99)),
    lambda content, draw: draw.randbytes(draw.randrange(99)),
    lambda content, draw: content[:9] + draw.randbytes(20) + content[29:],
    lambda content, draw: content[:8] + content[8:].replace(b"0", draw.choice([b"1", b"-", b"9e9", b'"', b"[", b"{"])),
    lambda content, draw: content[: draw.randrange(8)] + content[draw.randrange(1, 9) :],
]


def test_a_file_damaged_in_1000_ways_is_refused_in_one_sentence(tmp_path: Path):
    write_tensors(tmp_path / "t", every_type(), SAID)
    content, draw = (tmp_path / "t").read_bytes(), random.Random(1)
    for _ in range(1000):
        (tmp_path / "d").write_bytes(draw.choice(CHANGES)(content, draw))
        if (tmp_path / "d").read_bytes() == content:
            continue
        with pytest.raises(InputError) as refused:
            read(tmp_path / "d")
        assert str(refused.value).startswith((str(tmp_path / "d"), "cannot read"))
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("layout", [BY_WIDTH, AS_GIVEN])
def test_values_on_disk_are_written_as_those_in_memory(tmp_path: Path, layout: TensorLayout):
    """They are longer than what is read of them at once."""
    values = np.random.default_rng(0).random(HASHED_BYTES // 8 + 100)
    with open(tmp_path / "values", "w+b") as stream:
        values.tofile(stream)
        stream.flush()
        mapped = np.memmap(stream, np.float64, mode="r")
        write_tensors(tmp_path / "mapped", {"a": mapped, "b": mapped[3:]}, {"format": "seqtool test 1"}, layout)
    write_tensors(tmp_path / "held", {"a": values, "b": values[3:]}, {"format": "seqtool test 1"}, layout)
    assert (tmp_path / "mapped").read_bytes() == (tmp_path / "held").read_bytes()
