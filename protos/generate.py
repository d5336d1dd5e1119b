"""Make dsm/wire/generated from protos/dsm/v1: `python protos/generate.py`.

Generated code refuses a protobuf older than the one it was made with, and runs with every newer one. So it is made with
the oldest grpcio-tools that has wheels for every Python we support, in a virtual environment of its own if this one
has another version.
"""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

TOOLS_VERSION = "1.66.2"
ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos" / "dsm" / "v1"
GENERATED = Path("dsm/wire/generated")


def arguments(out: Path) -> list[str]:
    """Return protoc's arguments; the prefix makes the generated imports absolute, below dsm.wire.generated."""
    names = [str(GENERATED / proto.name) for proto in sorted(PROTOS.glob("*.proto"))]
    return [f"-I{GENERATED}={PROTOS}", f"--python_out={out}", f"--pyi_out={out}", f"--grpc_python_out={out}", *names]


def installed_version() -> str | None:
    try:
        return importlib.metadata.version("grpcio-tools")
    except importlib.metadata.PackageNotFoundError:
        return None


def generate(python: str, out: Path) -> None:
    subprocess.run([python, "-m", "grpc_tools.protoc", *arguments(out)], check=True, cwd=ROOT)


def main() -> None:
    if installed_version() == TOOLS_VERSION:
        generate(sys.executable, ROOT)
        return
    with tempfile.TemporaryDirectory() as directory:
        venv.create(directory, with_pip=True)
        python = str(Path(directory, "bin", "python"))
        tools = [f"grpcio-tools=={TOOLS_VERSION}", f"grpcio=={TOOLS_VERSION}"]
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--only-binary=:all:", *tools], check=True)
        generate(python, ROOT)


if __name__ == "__main__":
    main()
