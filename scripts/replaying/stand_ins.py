"""The files that a recorded plan names: those that are at hand, and stand-ins of the same size for all others. No I/O here.

A recording has digests and sizes, not files. A stand-in begins with what the agent looks at (the header of a kernel or a device
tree), goes on with zeros, and has a digest of its own, which goes into the plan instead of the recorded one.
"""

import hashlib
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urljoin

from bootpilot_agent.fields import Json
from scripts.lab.small_kernels import arm64_image, bzimage, device_tree, riscv64_image, zimage
from scripts.replaying.errors import ReplayError
from scripts.replaying.tape import Exchange, Tape, as_object

AtHand = Callable[[str], bytes | None]
# Larger ones would fill the memory of the machine that replays.
MAX_STAND_IN_BYTES = 1 << 30
# What a fetched file's content decides, so that a stand-in would decide something else.
DECIDED_BY_CONTENT = ("plan: ", "memory: ")


@dataclass(frozen=True)
class StandIn:
    """One file of a plan: `role` as kexec's digests are named, `recorded` its digest on the tape. `real`: it is that file."""

    role: str
    recorded: str
    content: bytes
    real: bool

    @property
    def sha256(self) -> str:
        return self.recorded if self.real else hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class Named:
    """A file as a plan names it: absolute URLs, digest, size."""

    role: str
    urls: tuple[str, ...]
    sha256: str
    size_bytes: int


Maker = Callable[[int, str], bytes]


def _kernel(size: int, arch: str) -> bytes:
    """What check_kernel takes: little is said to be needed in memory, so that no board is too small for it."""
    if size < 4096:
        return bytes(size)
    image = bytearray(HEADS[arch](size))
    if arch in MEMORY_PLACES:
        struct.pack_into("<Q" if arch != "amd64" else "<I", image, MEMORY_PLACES[arch], size)
    return bytes(image)


HEADS: Mapping[str, Callable[[int], bytes]] = {
    "amd64": bzimage,
    "arm64": arm64_image,
    "armhf": zimage,
    "riscv64": riscv64_image,
}
# Where each header says how much memory the kernel takes: init_size (boot.rst of x86), image_size (booting.rst of arm64,
# boot-image-header.rst of riscv).
MEMORY_PLACES = {"amd64": 0x260, "arm64": 16, "riscv64": 16}


def _tree(size: int, arch: str) -> bytes:
    tree = device_tree()
    return tree + bytes(size - len(tree)) if size >= len(tree) else bytes(size)


def _zeros(size: int, arch: str) -> bytes:
    return bytes(size)


# By the first word of the role.
MAKERS: Mapping[str, Maker] = {"kernel": _kernel, "initrd": _zeros, "dtb": _tree, "overlay": _tree, "file": _zeros}


def make_stand_ins(
    tape: Tape, at_hand: AtHand = lambda sha256: None, arch: str = "", makers: Mapping[str, Maker] = MAKERS
) -> list[StandIn]:
    """One for each file of each recorded plan, by digest. `makers` may give files of other sizes; the plan follows them.

    `arch`: of the agent that replays, where it is not the recorded one: a kernel of another is of no use to it then.

    Raises ReplayError where only the file itself would do.
    """
    found: dict[str, StandIn] = {}
    for exchange in tape.plans:
        for named in files_of(exchange):
            if named.sha256 not in found:
                found[named.sha256] = _stand_in(named, tape, at_hand, makers, arch or tape.arch)
    return list(found.values())


def files_of(exchange: Exchange) -> list[Named]:
    """The files that the plan in this exchange names."""
    boot = as_object(exchange.line.answer.content).get("boot")
    base = exchange.line.url.removesuffix("v1/boot")
    return list(_files(boot, base)) if isinstance(boot, dict) else []


def with_sizes(plan: Json, stand_ins: Mapping[str, StandIn]) -> Json:
    """The plan with each file's size as it is; its digests are still the recorded ones."""
    if isinstance(plan, list):
        return [with_sizes(one, stand_ins) for one in plan]
    if not isinstance(plan, dict):
        return plan
    inner = {key: with_sizes(value, stand_ins) for key, value in plan.items()}
    stand_in = stand_ins.get(str(plan.get("sha256")))
    if stand_in is not None and plan.get("size") != len(stand_in.content):
        inner["size"] = len(stand_in.content)
    return inner


def _stand_in(named: Named, tape: Tape, at_hand: AtHand, makers: Mapping[str, Maker], arch: str) -> StandIn:
    content = at_hand(named.sha256) if arch == tape.arch or named.role != "kernel" else None
    if content is not None:
        return StandIn(named.role, named.sha256, content, real=True)
    _refuse_decisive(named, tape)
    if named.size_bytes > MAX_STAND_IN_BYTES:
        raise ReplayError(
            f"{named.role} has {named.size_bytes} bytes: too many for a stand-in", "--artifacts FOLDER with the file"
        )
    made = makers[named.role.partition(" ")[0]](named.size_bytes, arch)
    # Two files of one size must not become one: the last bytes, which nobody looks at, tell them apart.
    mark = hashlib.sha256(named.sha256.encode()).digest()[: len(made) // 2]
    return StandIn(named.role, named.sha256, made[: len(made) - len(mark)] + mark, real=False)


def _refuse_decisive(named: Named, tape: Tape) -> None:
    for step in tape.steps:
        if step.name == "fetch_payload" and step.error.startswith(DECIDED_BY_CONTENT):
            raise ReplayError(
                f"this boot failed for what stood in its files ({step.error[:200]}), and {named.role} is not at hand",
                f"--artifacts FOLDER with the file of sha256 {named.sha256}",
            )


def _files(boot: dict[str, Json], base: str) -> Iterator[Named]:
    """In the order in which the agent fetches them."""
    yield from _named("kernel", boot.get("kernel"), base)
    initrds, files = boot.get("initrds"), boot.get("files")
    for number, row in enumerate(initrds if isinstance(initrds, list) else (), start=1):
        yield from _named(f"initrd {number}", row, base)
    for row in files if isinstance(files, list) else ():
        yield from _named("file", row, base)
    dtb = boot.get("dtb")
    if isinstance(dtb, dict):
        yield from _named("dtb", dtb.get("artifact"), base)
        overlays = dtb.get("overlays")
        for number, row in enumerate(overlays if isinstance(overlays, list) else (), start=1):
            yield from _named(f"overlay {number}", row, base)


def _named(role: str, row: Json, base: str) -> Iterator[Named]:
    if not isinstance(row, dict):
        return
    urls, size = row.get("urls", [row.get("url")]), row.get("size")
    if isinstance(urls, list) and isinstance(size, int) and size > 0:
        absolute = tuple(urljoin(base, url) for url in urls if isinstance(url, str))
        yield Named(role, absolute, str(row.get("sha256")), size)
