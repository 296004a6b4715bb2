"""How Chroma is had from PyPI: into a virtual environment of its own, every version pinned.

Versions are pinned, hashes are not: of some 80 packages each has wheels of its own for every Python and platform.
"""

from __future__ import annotations

from compbench.systems.installation import PIP_INSTALL, Installation

_VERSION = "1.5.9"
# What chromadb 1.5.9 needs, as pip found it on 2026-11-27 for Python 3.11.
_CONSTRAINTS = """\
aiohappyeyeballs==2.7.1 aiohttp==3.14.5 aiohttp-retry==2.9.1 aiosignal==1.4.0 annotated-doc==0.0.7
annotated-types==0.8.0 anyio==4.16.0 attrs==26.1.0 bcrypt==5.0.0 build==1.6.1 certifi==2026.10.19.post1
charset-normalizer==3.5.3 click==8.5.1 durationpy==0.11 filelock==4.3.1 flatbuffers==25.12.19 frozenlist==1.8.0
fsspec==2026.9.0 googleapis-common-protos==1.76.0 grpcio==1.85.3 h11==0.16.0 hf-xet==1.8.0 httpcore==1.0.9
httpcore2==2.16.2 httptools==0.9.0 httpx==0.28.1 httpx2==2.16.2 huggingface_hub==2.4.0 idna==3.20
importlib_resources==7.1.0 jsonschema==4.26.0 jsonschema-specifications==2025.9.1 kubernetes==37.0.2
markdown-it-py==4.3.0 mdurl==0.1.2 mmh3==5.3.1 multidict==7.2.1 numpy==2.4.6 oauthlib==4.0.1 onnxruntime==1.32.0
opentelemetry-api==1.45.2 opentelemetry-exporter-otlp-common==0.66b2
opentelemetry-exporter-otlp-proto-common==1.45.2 opentelemetry-exporter-otlp-proto-grpc==1.45.2
opentelemetry-proto==1.45.2 opentelemetry-sdk==1.45.2 opentelemetry-semantic-conventions==0.66b2 orjson==3.13.0
overrides==7.7.0 packaging==26.4 propcache==0.5.4 protobuf==7.36.2 pybase64==1.5.1 pydantic==2.14.4
pydantic-settings==2.16.3 pydantic_core==2.50.5 Pygments==2.21.0 PyPika==0.51.1 pyproject_hooks==1.3.3
python-dateutil==4.0.0 python-dotenv==1.2.4 PyYAML==6.0.4 referencing==0.37.0 requests==2.34.2
requests-oauthlib==2.0.0 rich==15.0.0 rpds-py==2026.9.1 shellingham==1.5.4 tenacity==9.2.1 tokenizers==0.23.3
tqdm==4.70.1 truststore==0.10.5 typer==0.29.2 typing-inspection==0.4.5 typing_extensions==4.16.0 tzdata==2026.6
urllib3==2.8.0 uvicorn==0.54.0 uvloop==0.23.0 watchfiles==1.3.0 websocket-client==1.9.2 websockets==17.4
yarl==1.25.1
"""

INSTALLATION = Installation(
    version=_VERSION,
    result="venv/bin/chroma",
    commands=(
        ("{python}", "-m", "venv", "{folder}/venv"),
        ("{folder}/venv/bin/python", *PIP_INSTALL, "--constraint={folder}/constraints.txt", f"chromadb=={_VERSION}"),
    ),
    files={"constraints.txt": "\n".join(_CONSTRAINTS.split()) + "\n"},
    tools={},
    download_mb=110,
    licence="Apache-2.0",
    remark="the environment takes some 520 MB of disk; the versions are those for Python 3.11 or later",
)
