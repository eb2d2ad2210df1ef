"""The other end of the board's cables: a network with a switch, a router behind it, and real DHCP servers (dnsmasq)."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

IP = "/usr/sbin/ip"
# Behind the router: only a default route leads there.
FAR_AWAY = "203.0.113.1"
FAR_AWAY_IPV6 = "2001:db8:ffff::1"


class Lan:
    """One broadcast domain. Its host has `address` (with prefix length) on the switch, and FAR_AWAY behind that."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address
        self.host = address.partition("/")[0]
        self.leases = Path(f"/run/{name}.leases")
        self.log = Path(f"/run/{name}.log")
        self._dhcp: subprocess.Popen[bytes] | None = None
        self._cables = 0
        _run(IP, "netns", "add", name)
        self.ip("link", "set", "lo", "up")
        self.ip("link", "add", "switch", "type", "bridge")
        self.ip("addr", "add", address, "dev", "switch", *(("nodad",) if ":" in address else ()))
        self.ip("addr", "add", f"{FAR_AWAY}/32", "dev", "lo")
        self.ip("addr", "add", f"{FAR_AWAY_IPV6}/128", "dev", "lo")
        self.ip("link", "set", "switch", "up")

    def ip(self, *words: str) -> None:
        _run(IP, "-n", self.name, *words)

    def plug(self, nic: str) -> str:
        """A cable to a new interface of the board; returns the name of the switch's port for `unplug` and `replug`."""
        self._cables += 1
        port = f"port{self._cables}"
        _run(IP, "link", "add", nic, "type", "veth", "peer", "name", port, "netns", self.name)
        self.ip("link", "set", port, "master", "switch")
        self.ip("link", "set", port, "up")
        return port

    def unplug(self, port: str) -> None:
        self.ip("link", "set", port, "down")

    def replug(self, port: str) -> None:
        self.ip("link", "set", port, "up")

    def serve_dhcp(self, pool: str, *options: str) -> None:
        """Start dnsmasq with a range such as 10.1.0.50,10.1.0.99 and more of its options; the one before ends."""
        self.end_dhcp()
        self._dhcp = self._spawn(
            "dnsmasq", "--no-daemon", "--conf-file=/dev/null",
            "--interface=switch", "--bind-interfaces", "--no-resolv", "--no-hosts", "--no-ping", "--dhcp-authoritative",
            f"--dhcp-leasefile={self.leases}", f"--log-facility={self.log}", "--log-dhcp", f"--dhcp-range={pool},2h",
            *options,
        )  # fmt: skip

    def serve_more_dhcp(self, address: str, pool: str, *options: str) -> None:
        """Another DHCP server on the same network, at an address of its own; its answers come 1 s later."""
        self._cables += 1
        device, port = f"host{self._cables}", f"port{self._cables}"
        self.ip("link", "add", device, "type", "veth", "peer", "name", port)
        self.ip("link", "set", port, "master", "switch", "up")
        self.ip("addr", "add", address, "dev", device)
        self.ip("link", "set", device, "up")
        self._spawn(
            "dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0",
            f"--interface={device}", "--bind-interfaces", "--no-ping", "--dhcp-authoritative", "--dhcp-reply-delay=1",
            f"--dhcp-leasefile={self.leases}.{device}", f"--dhcp-range={pool},2h", *options,
        )  # fmt: skip

    def end_dhcp(self) -> None:
        if self._dhcp is not None:
            self._dhcp.kill()
            self._dhcp.wait()
            self._dhcp = None

    def serve_http(self, text: str, port: int = 80) -> None:
        """A page that says `text`, on all addresses of the LAN's host."""
        folder = Path(f"/run/{self.name}.www")
        folder.mkdir()
        (folder / "index.html").write_text(text)
        self._spawn("busybox", "httpd", "-f", "-p", f"[::]:{port}", "-h", str(folder))

    def dhcp_log(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _spawn(self, *argv: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([IP, "netns", "exec", self.name, *argv], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"


def routes(*words: str) -> str:
    """What `ip route ...` says on the board."""
    return subprocess.run([IP, *words], capture_output=True, text=True, check=True).stdout


def pid_of(program: str) -> int:
    """The process id of the program whose command line begins with that name; of its forks too, so the first one."""
    return min(number for number in _process_ids() if _command_line(number).startswith(f"{program}\0"))


def _process_ids() -> list[int]:
    return [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]


def _command_line(number: int) -> str:
    """ "" of one that has ended since it was listed."""
    try:
        return Path(f"/proc/{number}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def argv_of(program: str) -> Sequence[str]:
    """The command line of that program."""
    return Path(f"/proc/{pid_of(program)}/cmdline").read_text().rstrip("\0").split("\0")
