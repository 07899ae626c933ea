"""An ONNX file as protobuf writes it, read and written without the onnx package, which the base install has not.

Only what a change of a graph needs; what is not known here is kept as it is. Numbers of fields: onnx.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engines.base import Array

Bytes = bytes | memoryview
Field = tuple[int, int | Bytes]
"""Tag (number of the field, and how it lies in the file) and value."""

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
DTYPES: dict[int, np.dtype[Any]] = {1: np.dtype("<f4"), 7: np.dtype("<i8")}
"""ONNX's numbers of the types that are read; fields of such values: 4 and 7."""
EXTERNAL = 1
INT_OF_ATTRIBUTE, TENSOR_OF_ATTRIBUTE, INTS_OF_ATTRIBUTE, SUBGRAPHS_OF_ATTRIBUTE = 3, 5, 8, (6, 11)


def read(message: Bytes) -> list[Field]:
    """Fields of a message, in order. Raises ValueError for what is none."""
    found: list[Field] = []
    at, end, view = 0, len(message), memoryview(message)
    while at < end:
        tag, at = _varint(view, at)
        kind = tag & 7
        if kind == VARINT:
            value, at = _varint(view, at)
            found.append((tag, value))
            continue
        if kind not in (FIXED64, BYTES, FIXED32):
            raise ValueError(f"no field is of kind {kind}")
        size, at = _varint(view, at) if kind == BYTES else (8 if kind == FIXED64 else 4, at)
        if at + size > end:
            raise ValueError("the message ends within a field")
        found.append((tag, view[at : at + size]))
        at += size
    return found


def write(fields: Iterable[Field]) -> bytes:
    """The message of these fields."""
    parts: list[Bytes] = []
    for tag, value in fields:
        parts.append(_packed(tag))
        if isinstance(value, int):
            parts.append(_packed(value))
        else:
            parts += (_packed(len(value)), value) if tag & 7 == BYTES else (value,)
    return b"".join(parts)


def tag_of(number: int, kind: int = BYTES) -> int:
    """The tag of a field."""
    return number << 3 | kind


def all_of(fields: Iterable[Field], number: int) -> list[Bytes]:
    """Strings, bytes and messages of one field."""
    return [value for tag, value in fields if tag == tag_of(number) and not isinstance(value, int)]


def texts(fields: Iterable[Field], number: int) -> list[str]:
    """Strings of one field."""
    return [bytes(value).decode() for value in all_of(fields, number)]


def ints(fields: Iterable[Field], number: int) -> list[int]:
    """Whole numbers of one field, packed or one by one."""
    found: list[int] = []
    for tag, value in fields:
        if tag >> 3 != number:
            continue
        if isinstance(value, int):
            found.append(_signed(value))
            continue
        at = 0
        while at < len(value):
            one, at = _varint(memoryview(value), at)
            found.append(_signed(one))
    return found


@dataclass
class Node:
    """A node of a graph. `attributes`: messages by name; `raw`: the message that it was read from."""

    kind: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Bytes] = field(default_factory=dict)
    domain: str = ""
    raw: Bytes = b""

    @classmethod
    def parse(cls, message: Bytes) -> Node:
        """From a NodeProto. Raises ValueError."""
        fields = read(message)
        held = {texts(read(value), 1)[0]: value for value in all_of(fields, 5)}
        domain = "".join(texts(fields, 7))
        return cls("".join(texts(fields, 4)), texts(fields, 1), texts(fields, 2), held, domain, message)

    def message(self) -> Bytes:
        """As a NodeProto: as it was read, else called as what it makes."""
        if self.raw:
            return self.raw
        told = [(1, name) for name in self.inputs] + [(2, name) for name in self.outputs]
        told += [(3, self.outputs[0]), (4, self.kind), (7, self.domain)]
        fields: list[Field] = [(tag_of(number), text.encode()) for number, text in told if text or number == 1]
        return write([*fields, *((tag_of(5), value) for value in self.attributes.values())])

    def number(self, name: str, otherwise: int) -> int:
        """A whole number among the attributes."""
        return next(iter(ints(read(self.attributes.get(name, b"")), INT_OF_ATTRIBUTE)), otherwise)

    def numbers(self, name: str) -> list[int]:
        """A list of whole numbers among the attributes; empty where there is none."""
        return ints(read(self.attributes.get(name, b"")), INTS_OF_ATTRIBUTE)

    @property
    def tensors(self) -> list[Bytes]:
        """Tensors among the attributes."""
        return [tensor for value in self.attributes.values() for tensor in all_of(read(value), TENSOR_OF_ATTRIBUTE)]

    @property
    def has_graph(self) -> bool:
        """Whether it holds graphs of its own, as If and Loop do."""
        return any(
            all_of(read(value), number) for value in self.attributes.values() for number in SUBGRAPHS_OF_ATTRIBUTE
        )


def whole_number(name: str, value: int) -> bytes:
    """An attribute that is a whole number."""
    return write([(tag_of(1), name.encode()), (tag_of(3, VARINT), value), (tag_of(20, VARINT), 2)])


def whole_numbers(name: str, values: Iterable[int]) -> bytes:
    """An attribute that is a list of whole numbers."""
    return write([(tag_of(1), name.encode()), *((tag_of(8, VARINT), v) for v in values), (tag_of(20, VARINT), 7)])


def elsewhere(tensor: Bytes) -> bool:
    """Whether the values of a TensorProto are in a file of their own."""
    return ints(read(tensor), 14) == [EXTERNAL]


def array_of(tensor: Bytes) -> Array | None:
    """Values of a TensorProto of FP32 or whole numbers that are in it; None for others."""
    fields = read(tensor)
    code, shape = next(iter(ints(fields, 2)), 0), ints(fields, 1)
    if code not in DTYPES or elsewhere(tensor):
        return None
    raw = all_of(fields, 9)
    if raw:
        return np.frombuffer(raw[0], DTYPES[code]).reshape(shape)
    if code == 7:
        return np.array(ints(fields, 7), np.int64).reshape(shape)
    values = [bytes(value) for tag, value in fields if tag >> 3 == 4 and not isinstance(value, int)]
    return np.frombuffer(b"".join(values), DTYPES[1]).reshape(shape)


def tensor_of(array: Array, name: str) -> bytes:
    """FP32 values or whole numbers (int64) as a TensorProto."""
    code = next(number for number, dtype in DTYPES.items() if dtype == array.dtype)
    sizes: list[Field] = [(tag_of(1, VARINT), size) for size in array.shape]
    return write([*sizes, (tag_of(2, VARINT), code), (tag_of(8), name.encode()), (tag_of(9), array.tobytes())])


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends."""
    value = shift = 0
    while True:
        if at >= len(view) or shift > 63:
            raise ValueError("the message ends within a number")
        byte = view[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _packed(value: int) -> bytes:
    value &= (1 << 64) - 1
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _signed(value: int) -> int:
    (signed,) = struct.unpack("<q", struct.pack("<Q", value & (1 << 64) - 1))
    return int(signed)
