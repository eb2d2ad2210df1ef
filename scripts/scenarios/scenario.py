"""A written boot, as nouns: the board, its network, the server, what goes wrong and when, and what must come of it. Pure data.

All times are seconds. `at_s` counts from the first power-on, or, with `once`, from the first request of that kind.
"""

from dataclasses import dataclass
from enum import StrEnum

KIB, MIB = 1 << 10, 1 << 20
MAIN_LAN = "site"


class Expect(StrEnum):
    """What must come of the boot. Whatever it says, no kernel or initrd may be booted that the plan does not name."""

    BOOTS = "boots"
    REFUSES = "refuses"  # the agent says why and goes on asking; nothing is booted


class Runner(StrEnum):
    """Where it can be played: in network namespaces, or in QEMU, where memory, watchdog and kernels count."""

    NAMESPACE = "namespace"
    QEMU = "qemu"


class Part(StrEnum):
    """The parts of a boot's talk, by which faults and changes are placed."""

    HELLO = "hello"
    PLAN = "plan"
    KERNEL = "kernel"
    INITRD = "initrd"
    EVENTS = "events"
    ALL = "all"


class Do(StrEnum):
    """What can change while a board boots."""

    PLUG = "plug"  # the adapter appears, with its cable
    UNPLUG = "unplug"  # the cable comes out
    REPLUG = "replug"
    START_DHCP = "start-dhcp"
    STOP_DHCP = "stop-dhcp"
    START_SERVER = "start-server"
    STOP_SERVER = "stop-server"
    START_DNS = "start-dns"
    KILL_AGENT = "kill-agent"
    FILL_MEMORY = "fill-memory"
    FREE_MEMORY = "free-memory"


class KernelKind(StrEnum):
    """The kernel that the plan names, digest and all."""

    GOOD = "good"
    TRUNCATED = "truncated"
    OTHER_CPU = "other-cpu"


@dataclass(frozen=True)
class Fault:
    """What the server does to the requests of one part of the boot: the first `times` of them, or all (0)."""

    part: Part
    times: int = 1
    status: int = 0  # answers so, with no body of use
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""
    lost: bool = False  # takes the request, hangs up
    reset_at: float | None = None  # RST after this share of the body
    cut_at: float | None = None  # ends the connection so
    stall_at: float | None = None  # nothing more comes
    flip_at: float | None = None  # one bit of that byte
    claim_bytes: int | None = None  # Content-Length, whatever comes
    encoded: bool = False  # a gzip bomb instead of the file
    endless: bool = False
    slow_headers: bool = False
    ignore_range: bool = False


@dataclass(frozen=True)
class Change:
    """Something that happens while the board boots. `target` is an adapter, a LAN or nothing."""

    do: Do
    at_s: float
    target: str = ""
    once: Part | None = None


@dataclass(frozen=True)
class Wear:
    """What a bad cable does to the frames that go to the board: shares of them, and how late they are. `reorder`: not late."""

    loss: float = 0.0
    damage: float = 0.0
    double: float = 0.0
    reorder: float = 0.0
    delay_ms: float = 0.0
    jitter_ms: float = 0.0


@dataclass(frozen=True)
class Lan:
    """One broadcast domain: the harness's address on it, and how bad its cables are."""

    name: str = MAIN_LAN
    address: str = "10.1.0.1/24"
    wear: Wear = Wear()


@dataclass(frozen=True)
class Adapter:
    """A network adapter of the board. Not `present`: a change plugs it in. Not `cable`: a change plugs the cable in."""

    name: str = "eth0"
    lan: str = MAIN_LAN
    mac: str = "52:54:00:12:34:01"
    present: bool = True
    cable: bool = True


@dataclass(frozen=True)
class Dhcp:
    """A DHCP server of a LAN: dnsmasq, or, with anything that dnsmasq does not do, the scripted one of the harness.

    `names_server`: option 224 with the boot server's URL. `router`: a default route. `delay_s`: each answer comes so late.
    `offer_delay_s`: the offers do.
    `naks`: the first requests are refused. `options`: code -> bytes in hex, instead of or beside the right ones.
    """

    lan: str = MAIN_LAN
    scripted: bool = False
    starts: bool = True
    names_server: bool = True
    router: bool = True
    dns: bool = False
    lease_s: int = 7200
    delay_s: float = 0
    offer_delay_s: float = 0
    naks: int = 0
    first_host: int = 50
    options: tuple[tuple[int, str], ...] = ()
    server_url: str = ""


@dataclass(frozen=True)
class Server:
    """The boot server. `far`: behind the LAN's router. `pinned`: the board's command line names it. `by_name`: by DNS name.

    `record`: its plans ask for the recording of a boot that works, too.
    """

    far: bool = False
    tls: bool = False
    pinned: bool = False
    by_name: bool = False
    starts: bool = True
    bytes_per_s: int = 0
    kernel_bytes: int = 256 * KIB
    initrd_bytes: int = 2 * MIB
    kernel: KernelKind = KernelKind.GOOD
    fetch_deadline_s: int = 900
    record: bool = False


@dataclass(frozen=True)
class Board:
    """Who the board says that it is (a tree of tests/data/boards), its clock, its settings and how much it can store.

    `words`: of the command line. `card`: the text of bootpilot.txt, with SERVER for the boot server's URL.
    """

    identity: str = "orangepi-pc"
    clock_unix_s: int | None = None
    words: tuple[str, ...] = ()
    card: str = ""
    root_mib: int = 256


@dataclass(frozen=True)
class Scenario:
    """One row of the matrix. `what` is a sentence for people; `threats` are rows of the list of threats that it tries."""

    name: str
    what: str
    group: str
    expect: Expect = Expect.BOOTS
    runner: Runner = Runner.NAMESPACE
    limit_s: int = 120
    quick: bool = False
    not_yet: str = ""  # why the agent is known not to come through
    test: str = ""  # of a row for QEMU: the test that is this row
    board: Board = Board()
    lans: tuple[Lan, ...] = (Lan(),)
    adapters: tuple[Adapter, ...] = (Adapter(),)
    dhcp: tuple[Dhcp, ...] = (Dhcp(),)
    server: Server = Server()
    faults: tuple[Fault, ...] = ()
    changes: tuple[Change, ...] = ()
