"""The committed code is what the .proto files say."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FileDescriptor

ROOT = Path(__file__).resolve().parents[2]
GENERATED = "dsm/wire/generated"
REMEDY = "run `make protos`"

protos = pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "protos/dsm/v1").glob("*.proto")))


def committed(name: str) -> FileDescriptor:
    module = importlib.import_module(f"dsm.wire.generated.{name}_pb2")
    descriptor: FileDescriptor = module.DESCRIPTOR
    return descriptor


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "protos" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@protos
def test_the_committed_messages_are_current(name: str, tmp_path: Path) -> None:
    protoc = pytest.importorskip("grpc_tools.protoc", reason="grpcio-tools is not installed")
    # Descriptors, not text: the text differs from version to version of the generator, what it says must not.
    out = tmp_path / "descriptors"
    source = f"{GENERATED}/{name}.proto"
    assert protoc.main(["", f"-I{GENERATED}={ROOT}/protos/dsm/v1", f"--descriptor_set_out={out}", source]) == 0
    (current,) = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file
    ours = descriptor_pb2.FileDescriptorProto()
    committed(name).CopyToProto(ours)
    for field in [field for message in _messages(current) for field in message.field]:
        field.ClearField("json_name")  # protoc fills it in here, and not in the code it makes
    for field in [field for message in _messages(ours) for field in message.field]:
        field.ClearField("json_name")
    assert ours == current, REMEDY


def _messages(container: descriptor_pb2.FileDescriptorProto) -> list[descriptor_pb2.DescriptorProto]:
    found = list(container.message_type)
    for message in found:
        found.extend(message.nested_type)
    return found


@protos
def test_the_committed_stubs_name_every_call(name: str) -> None:
    text = (ROOT / GENERATED / f"{name}_pb2_grpc.py").read_text()
    services = committed(name).services_by_name.values()
    calls = {f"/{service.full_name}/{method.name}" for service in services for method in service.methods}
    assert {call for call in calls if f"'{call}'" not in text} == set(), REMEDY
    assert text.count("_registered_method=True") == 2 * len(calls), REMEDY


@protos
def test_the_committed_code_was_made_with_the_oldest_generator(name: str) -> None:
    version = generator().TOOLS_VERSION
    text = (ROOT / GENERATED / f"{name}_pb2_grpc.py").read_text()
    assert f"GRPC_GENERATED_VERSION = '{version}'" in text, REMEDY
