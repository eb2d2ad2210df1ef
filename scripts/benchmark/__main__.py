"""The bench's flow: build both loaders, boot them in turn, print ratios; or the table of boards. Called by scripts/bench."""

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bootpilot_agent.errors import AgentError
from initramfs.errors import BuildError
from scripts.benchmark import table
from scripts.benchmark.baseline import build_baseline, padded_initrd
from scripts.benchmark.board_rows import MEGABYTE, MOST_INITRAMFS_BYTES
from scripts.benchmark.boards import bench_boards
from scripts.benchmark.instructions import count_until_request
from scripts.benchmark.measure import (
    Boot,
    measure_boot,
    measure_discard,
    reaches_second_user_space,
    smallest_memory_mib,
    with_memory,
    with_words,
)
from scripts.benchmark.relay import Relay
from scripts.lab.boot_server import BootServer
from scripts.lab.chain import Built, Wiring, build, make_guest
from scripts.lab.errors import LabError
from scripts.lab.guest import HOST_ADDRESS, DirectBoot, Guest
from scripts.lab.machine import started_directly
from scripts.lab.site_folder import StoredArtifact, site_files
from scripts.lab.watch import Clock
from scripts.sdcard.errors import CardError

PAYLOADS_MB = (8, 64)
RUNS = 5
MEMORY_LEAST_MIB, MEMORY_MOST_MIB, MEMORY_STEP_MIB = 80, 1024, 16
QUICK_MEMORY_STEP_MIB = 512
# As the agent calls kexec on amd64 (bootpilot_agent/kexec.py says why); a test compares.
KEXEC_FLAGS = ("-c", "-i")
MOST_MEMORY_MORE_MIB = 16
# u-root's pxeboot, measured in the same guest where the script needs 0.34 s.
U_ROOT_RATIO = 1.61 / 0.34


@dataclass(frozen=True)
class Contest:
    """Both loaders before one payload, behind one relay."""

    payload_mb: int
    relay: Relay
    script: Guest
    agent: Guest


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0 with a table on stdout, whatever it says; 1 if something could not be measured."""
    options = _parser().parse_args(arguments)
    # SIGINT too: a shell starts background jobs with it ignored, and Python leaves that so.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    folder = Path(tempfile.mkdtemp(prefix="bootpilot-bench-"))
    try:
        if options.boards is None:
            print(table.render(run_bench(folder, Clock(), quick=options.quick)))
        else:
            print(bench_boards(options.boards, options.runs, folder, Clock()))
    except (AgentError, BuildError, CardError, LabError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: stopped", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder)
    return 0


def run_bench(folder: Path, clock: Clock, *, quick: bool) -> list[table.Row]:
    """All measurements in turn. `quick`: one run, the small payload, the smallest memory only to half a GiB."""
    built = build("amd64")
    baseline = build_baseline(built.loader.initramfs, folder / "baseline.zst")
    rows: list[table.Row] = []
    for payload_mb in PAYLOADS_MB[:1] if quick else PAYLOADS_MB:
        with _contest(built, baseline, payload_mb, folder / f"{payload_mb}") as contest:
            rows += _times(contest, 1 if quick else RUNS, clock)
            rows.append(_memory(contest, QUICK_MEMORY_STEP_MIB if quick else MEMORY_STEP_MIB, clock))
    rows.append(_sizes(built.loader.initramfs, baseline))
    rows.append(_instructions(folder / "armhf", clock))
    return rows


def _times(contest: Contest, runs: int, clock: Clock) -> list[table.Row]:
    script: list[Boot] = []
    agent: list[Boot] = []
    discard: list[float] = []
    for number in range(1, runs + 1):
        script.append(measure_boot(contest.script, contest.relay))
        agent.append(measure_boot(contest.agent, contest.relay))
        discard.append(measure_discard(with_words(contest.script, "bench.mode=discard"), contest.relay))
        clock.say(f"{contest.payload_mb} MB, run {number}: script {script[-1]}, agent {agent[-1]}")
    size = f"{contest.payload_mb} MB payload"
    end_ratio = 1.20 if contest.payload_mb < 32 else 1.10

    def both(value: str) -> tuple[float, float]:
        return table.median([getattr(boot, value) for boot in script]), table.median([getattr(boot, value) for boot in agent])

    checked = [value / MEGABYTE for value in both("checked_bytes_per_s")]
    plain = table.median(discard) / MEGABYTE
    return [
        table.at_most(f"first program to first request, {size}", "s", *both("init_to_request_s"), U_ROOT_RATIO),
        table.at_most(f"QEMU's start to second user space, {size}", "s", *both("start_to_second_s"), end_ratio),
        table.at_least(f"download and check, {size}", "MB/s", checked[0], checked[1], 0.9),
        table.Row(f"download and check beside plain wget to /dev/null, {size}", "MB/s", plain, checked[1]),
    ]


def _memory(contest: Contest, step_mib: int, clock: Clock) -> table.Row:
    script, agent = (_smallest_memory_mib(guest, step_mib) for guest in (contest.script, contest.agent))
    clock.say(f"{contest.payload_mb} MB payload boots with: script {script} MiB, agent {agent} MiB")
    aim = f"at most {MOST_MEMORY_MORE_MIB} MiB more"
    return table.Row(
        f"smallest memory to {step_mib} MiB, {contest.payload_mb} MB payload",
        "MiB",
        script,
        agent,
        aim,
        agent <= script + MOST_MEMORY_MORE_MIB,
    )


def _smallest_memory_mib(guest: Guest, step_mib: int) -> int:
    def boots(memory_mib: int) -> bool:
        return reaches_second_user_space(with_memory(guest, memory_mib))

    return smallest_memory_mib(boots, MEMORY_LEAST_MIB, MEMORY_MOST_MIB, step_mib)


def _sizes(loader: Path, baseline: Path) -> table.Row:
    script, agent = (path.stat().st_size for path in (baseline, loader))
    aim = f"at most {MOST_INITRAMFS_BYTES // MEGABYTE} MB"
    return table.Row(
        "initramfs, all drivers, amd64", "MB", script / MEGABYTE, agent / MEGABYTE, aim, agent <= MOST_INITRAMFS_BYTES
    )


def _instructions(folder: Path, clock: Clock) -> table.Row:
    """On armhf, without U-Boot and card: both loaders from QEMU directly, on one CPU."""
    built = build("armhf")
    built = replace(built, machine=started_directly(built.machine, ("console=ttyAMA0", "rootfstype=ramfs")))
    folder.mkdir()
    baseline = build_baseline(built.loader.initramfs, folder / "baseline.zst")
    with _contest(built, baseline, 8, folder) as contest:
        counts = [count_until_request(guest, contest.relay) / 1e6 for guest in (contest.script, contest.agent)]
    clock.say(f"armhf instructions until the first request: script {counts[0]:.0f} million, agent {counts[1]:.0f} million")
    return table.Row("instructions until the first request, armhf", "million", counts[0], counts[1])


@contextmanager
def _contest(built: Built, baseline: Path, payload_mb: int, folder: Path) -> Iterator[Contest]:
    """A boot server of its own with one payload, a relay before it, and a guest for each loader."""
    folder.mkdir(exist_ok=True)
    server = BootServer(folder / "home")
    try:
        server.start()
        initrd = padded_initrd(built.workload.initrd, payload_mb * MEGABYTE, folder / "initrd")
        kernel = server.add_artifact(built.workload.kernel, "vmlinuz")
        unpacked = built.workload.initrd_unpacked_bytes + payload_mb * MEGABYTE
        stored = server.add_artifact(initrd, "initrd", unpacked)
        server.apply(site_files(built.machine, kernel, stored))
        with closing(Relay(server.port)) as relay:
            url = f"http://{HOST_ADDRESS}:{relay.port}"
            agent = make_guest(built, "bench", folder, Wiring(servers=(url,)))
            yield Contest(payload_mb, relay, _script_guest(agent, baseline, url, kernel, stored, built), agent)
    finally:
        server.stop()


def _script_guest(
    agent: Guest, baseline: Path, url: str, kernel: StoredArtifact, initrd: StoredArtifact, built: Built
) -> Guest:
    if not isinstance(agent.boot, DirectBoot):
        raise LabError("the bench starts loaders without a card")
    words = [
        *built.machine.loader_arguments,
        f"bench.server={url}",
        f"bench.kernel={kernel.sha256}",
        f"bench.initrd={initrd.sha256}",
        f"bench.kexec={'+'.join(KEXEC_FLAGS)}",
        f"bench.append={'+'.join(built.machine.payload_arguments)}",
    ]
    return replace(agent, boot=replace(agent.boot, initramfs=baseline, command_line=" ".join(words)))


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench", description="Compare the agent with a busybox script that does the same.")
    parser.add_argument(
        "--boards",
        nargs="*",
        metavar="NAME",
        help="instead: these boards' cards, and when agent and kexec come; without names all that QEMU can start",
    )
    parser.add_argument(
        "--runs", type=int, default=1, choices=range(1, 100), metavar="N", help="runs of each board (default: 1)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="one run with the small payload, and the smallest memory only roughly"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
