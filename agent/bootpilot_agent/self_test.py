"""Is everything in this agent that a boot needs? Asked of a frozen agent after its build, where a gap costs nothing yet."""

import importlib
import pkgutil
import socket
import ssl

import bootpilot_agent


def self_test() -> int:
    """Prints a line for each check; 0 if all hold, else 1."""
    failures = 0
    for name, check in CHECKS:
        try:
            print(f"{name}: {check()}")
        except Exception as error:
            failures += 1
            print(f"{name}: FAILED: {type(error).__name__}: {error}")
    print("ok" if not failures else f"{failures} of {len(CHECKS)} checks failed")
    return 1 if failures else 0


def _import_all() -> str:
    found = pkgutil.walk_packages(bootpilot_agent.__path__, "bootpilot_agent.")
    names = [info.name for info in found if not info.name.endswith(".__main__")]
    for name in names:
        importlib.import_module(name)
    if not names:
        raise ImportError("the package lists no modules")
    return f"{len(names)} modules"


def _make_tls_context() -> str:
    from bootpilot_agent.tls import CA_BUNDLE

    context = ssl.create_default_context(cafile=CA_BUNDLE)
    # Reads dates with _strptime, a module that only C code imports.
    ssl.cert_time_to_seconds("Jan  5 09:34:43 2046 GMT")
    return f"{ssl.OPENSSL_VERSION}, {len(context.get_ca_certs())} public CAs"


def _ask_libudev() -> str:
    import pyudev

    return f"pyudev {pyudev.__version__}, {sum(1 for _ in pyudev.Context().list_devices(subsystem='net'))} interfaces"


def _ask_netifaces() -> str:
    from bootpilot_agent.links import read_addresses

    return f"addresses of lo: {', '.join(read_addresses('lo')) or 'none yet'}"


def _free_terminal() -> str:
    import termios

    from bootpilot_agent.console import ignore_stop_characters

    try:
        before = termios.tcgetattr(1)
    except termios.error:
        return "output is no terminal"
    try:
        ignore_stop_characters(1)
    finally:
        termios.tcsetattr(1, termios.TCSANOW, before)
    return "output that is a terminal is not stopped by Ctrl-S"


def _start_threads() -> str:
    # glibc opens libgcc_s.so.1 when a thread ends; without it the process aborts (SIGABRT).
    from bootpilot_agent.attention import Worker

    worker = Worker(lambda: "a thread came and went")
    worker.start()
    worker.join(10)
    return worker.outcome()


def _resolve_idna() -> str:
    # The codec that the socket module loads for every host name.
    return f"idna {socket.getaddrinfo('127.0.0.1', 80)[0][4][0]} {'boot.example'.encode('idna').decode()}"


def _make_dns_message() -> str:
    # dnspython imports the module of a record's type by name, which PyInstaller cannot see.
    import dns.message
    import dns.query
    import dns.rdata

    query = dns.message.make_query("boot.example", "AAAA")
    records = [
        str(dns.rdata.from_text("IN", *pair))
        for pair in (("A", "192.0.2.1"), ("AAAA", "2001:db8::1"), ("CNAME", "boot.example."))
    ]
    return f"{len(query.to_wire())} bytes with {dns.query.udp.__name__}, {' '.join(records)}"


def _apply_overlays() -> str:
    # A library that is opened by its name; only agents that can be given overlays have it.
    from bootpilot_agent.flat_tree import FlatTree, Node, read_tree, write_tree
    from bootpilot_agent.overlays import SONAME, apply_overlays
    from bootpilot_agent.report import FEATURES, read_build

    if "dtb:file+fixups" not in FEATURES[read_build().arch]:
        return "none on this architecture"
    fragment = Node("fragment@0", {"target-path": b"/\0"}, [Node("__overlay__", {"model": b"overlaid\0"})])
    overlay = write_tree(FlatTree(Node("", {}, [fragment])))
    applied = read_tree(apply_overlays(write_tree(FlatTree(Node(""))), [("a test", overlay)]))
    return f"{SONAME}, model {applied.root.properties['model'].decode()[:-1]}"


def _open_unpackers() -> str:
    # Libraries that are opened by their names, and come with kmod.
    from bootpilot_agent.unpacking import LIBRARIES, open_library

    return ", ".join(soname for soname in LIBRARIES if open_library(soname))


def _find_blkid() -> str:
    from bootpilot_agent.run import run

    return run(["blkid", "--version"], timeout_s=10).stderr.strip() or "blkid"


CHECKS = (
    ("imports", _import_all),
    ("tls", _make_tls_context),
    ("udev", _ask_libudev),
    ("netifaces", _ask_netifaces),
    ("terminal", _free_terminal),
    ("threads", _start_threads),
    ("names", _resolve_idna),
    ("dns", _make_dns_message),
    ("device trees", _apply_overlays),
    ("packed kernels", _open_unpackers),
    ("disks", _find_blkid),
)
