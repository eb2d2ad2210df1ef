"""Small root file systems and disk images, and the [install] of a profile that installs one."""

import io
import lzma
import struct
import subprocess
import tarfile
from typing import Any

from bootpilot_agent.plan import Plan
from bootpilot_server.store import node_records
from tests.fakes.bench import Bench
from tests.fakes.installing_boards import FEATURES
from tests.fakes.installs import HEAD, install_rule
from tests.fakes.reports import make_report
from tests.fakes.site import digest, profile

FILES = {"etc/hostname": b"image\n", "sbin/init": b"#!/bin/sh\n" * 300}
OCI_FILES = {"blobs/sha256/00": b"{}", "index.json": b"{}", "oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}
BLOCK_MAP = b'<?xml version="1.0" ?>\n<!-- about it -->\n<bmap version="2.0"><ImageSize>1</ImageSize></bmap>\n'


def tar(files: dict[str, bytes] | None = None) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in (FILES if files is None else files).items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-qc"], input=data, capture_output=True, check=True).stdout


def disk() -> bytes:
    """With an MBR that has one Linux partition."""
    entry = struct.pack("<B3sB3sII", 0, b"", 0x83, b"", 2048, 4096)
    return b"\0" * 446 + entry + b"\0" * 48 + b"\x55\xaa" + b"\0" * 100_000


IMAGE = zstd(tar())
DISK = lzma.compress(disk())
MORE = """
[install.disk]
min_gb = 8
"""


def install_profile(install: str = "", *, image: bytes = IMAGE, kind: str = "tar", more: str = MORE, head: str = "") -> str:
    """The text of profiles/lamp.toml. `install` stands among the keys of [install], `more` after its tables."""
    kernel = profile().partition("[kernel]")[2]
    about = f'[install.image]\nkind = "{kind}"\nsha256 = "{digest(image)}"\nname = "rootfs"\n'
    return f"{HEAD}{head}\n[kernel]{kernel}\n[install]\n{install}\n{about}{more}"


def put_in_force(bench: Bench, lamp: str, images: tuple[bytes, ...] = (IMAGE,), **texts: str) -> None:
    for image in images:
        bench.server.artifacts.add(io.BytesIO(image))
    applied = bench.apply(profiles__lamp=lamp, rules__lab=install_rule("v1"), **texts)
    assert applied.is_usable, applied.findings


def plan_of(bench: Bench, **changes: Any) -> Plan:
    """Of an approved board that can install."""
    report = make_report(features=FEATURES, **changes)
    bench.plan(report)
    with bench.server.database.writing() as connection:
        (node,) = node_records.search_nodes(connection, report.evidence[0].value)
        node_records.approve_node(connection, node.id, 1.0)
    return bench.plan(make_report(features=FEATURES, **changes))
