"""Messages of protocol buffers from a table of the few fields that are needed, instead of a vendor's generated code.

A line of a table is a message with its fields, `Name: field=number:type ...`; a type is one of protobuf's (`int64`,
`string`), or another message of the table; `*` behind it says that there may be several. A field that is not in the
table is passed over when a message is read. Enumerations are `int32`, which looks the same on the wire; so do packed
numbers of fixed size and `bytes`, which spare a conversion of vectors number by number.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PROTO = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    name: getattr(_PROTO, f"TYPE_{name.upper()}")
    for name in ("double", "float", "int64", "uint64", "int32", "uint32", "bool", "string", "bytes")
}
_PACKED = {name for name in _SCALARS if name not in {"string", "bytes"}}


def message_types(package: str, table: str) -> dict[str, Any]:
    """Return the classes of a table's messages by name.

    Every field has presence, so that one that is set to nothing is sent all the same.
    """
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto2")
    for line in filter(None, map(str.strip, table.splitlines())):
        name, _, fields = line.partition(":")
        message = file.message_type.add(name=name)
        for field in fields.split():
            _add_field(message, package, field)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        message.name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{message.name}"))
        for message in file.message_type
    }


def _add_field(message: descriptor_pb2.DescriptorProto, package: str, field: str) -> None:
    name, _, rest = field.partition("=")
    number, _, kind = rest.partition(":")
    is_repeated = kind.endswith("*")
    kind = kind.rstrip("*")
    added = message.field.add(name=name, number=int(number))
    added.label = _PROTO.LABEL_REPEATED if is_repeated else _PROTO.LABEL_OPTIONAL
    if kind in _SCALARS:
        added.type = _SCALARS[kind]
        added.options.packed = is_repeated and kind in _PACKED
    else:
        added.type, added.type_name = _PROTO.TYPE_MESSAGE, f".{package}.{kind}"
