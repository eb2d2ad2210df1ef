"""`bootpilot import kickstart` and `autoinstall`: what they write is whole, is checked by these installers' own tools as far as
there are any, and no board can add to it.
"""

import gzip
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from bootpilot_agent.cpio import regular, write_cpio
from bootpilot_agent.evidence import EvidenceKind
from bootpilot_agent.mark import Mark
from bootpilot_agent.plan import Plan
from bootpilot_server.site_folder.apply import apply_folder
from tests.fakes.bench import Bench, bearer
from tests.fakes.images import plan_of
from tests.fakes.installs import install_rule
from tests.fakes.reports import SERIAL, piece, serial
from tests.fakes.server_process import bootpilot
from tests.fakes.site import KERNEL

HASH = "$6$salt$" + "a" * 86
VALIDATOR = Path(sys.executable).with_name("ksvalidator")
TEXTS = Path(__file__).parents[2] / "server-stub/bootpilot_server/importing/texts"
WORDS = {
    "kickstart": ("--tree", "http://mirror.example/fedora/os/"),
    "autoinstall": ("--iso", "http://mirror.example/ubuntu.iso"),
}
SECRETS = {"kickstart": "fedora-user-password", "autoinstall": "ubuntu-user-password"}
HOSTILE = [
    "<script>alert(1)</script>",
    "x\nrootpw --plaintext hunter2\n%post\nreboot\n%end",
    "x\r\n  late-commands: [reboot]\u2028autoinstall: {}",
    "{{ 7*7 }} {% raw %} $(reboot) `reboot` ';reboot;' \\",
    "../../etc/passwd\u202e",
    '", "x": "',
]


def take_in(bench: Bench, tmp_path: Path, kind: str, *more: str, arch: str = "arm64") -> subprocess.CompletedProcess[str]:
    kernel, initrd = tmp_path / "vmlinuz", tmp_path / "initrd.img"
    kernel.write_bytes(KERNEL)
    archive = io.BytesIO()
    write_cpio([regular("init", b"#!/bin/sh\n")], archive)
    initrd.write_bytes(gzip.compress(archive.getvalue()))
    media = ("--arch", arch, "--kernel", str(kernel), "--initrd", str(initrd))
    return bootpilot(bench.server.config.home, "import", kind, *media, *more, str(tmp_path / "site"))


def write_secret(bench: Bench, kind: str) -> None:
    home = bench.server.config.home
    (home / "secrets.toml").write_text(f'[{SECRETS[kind]}]\nfile = "hash"\n')
    (home / "secrets.toml").chmod(0o600)
    (home / "hash").write_text(HASH + "\n")


@pytest.fixture(params=["kickstart", "autoinstall"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def in_force(bench: Bench, tmp_path: Path, kind: str, settings: str = "") -> None:
    """What the importer wrote, with a rule, and these settings in place of its own."""
    assert take_in(bench, tmp_path, kind, *WORDS[kind]).returncode == 0
    write_secret(bench, kind)
    site = tmp_path / "site"
    path = site / f"profiles/{kind}-arm64.toml"
    text = path.read_text()
    for line in settings.splitlines():
        key = line.partition(" = ")[0]
        text, count = re.subn(rf"(?m)^{key} = .*$", lambda _, line=line: line, text)  # type: ignore[misc]
        assert count == 1, key
    path.write_text(text)
    (site / "rules").mkdir()
    (site / "rules/lab.toml").write_text(install_rule("v1", name=f"{kind}-arm64"))
    applied = apply_folder(site, bench.server)
    assert applied.findings == ()


def files_of(bench: Bench, plan: Plan) -> dict[str, str]:
    """As the agent fetches them."""
    assert plan.boot is not None, plan.wait
    found = {}
    for file in plan.boot.files:
        response = bench.client.get(file.artifact.urls[0], headers=bearer(plan.token))
        assert response.status_code == 200
        found[file.path] = response.data.decode()
    return found


def shape(value: Any) -> Any:
    """The keys of a YAML document, all the way down, without what they hold."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    return [shape(inner) for inner in value] if isinstance(value, list) else type(value).__name__


def directives(text: str) -> list[str]:
    return [line.split()[0] for line in text.splitlines() if line.strip() and not line.startswith("#")]


def test_what_is_written_is_whole_and_applies_without_a_word(bench: Bench, tmp_path: Path, kind: str) -> None:
    in_force(bench, tmp_path, kind)
    plan = plan_of(bench)
    assert plan.writes_disk
    assert plan.install_id is not None
    files = files_of(bench, plan)
    assert json.loads(files["/etc/bootpilot/evidence.json"]) == {"kind": "dt-serial", "value": SERIAL}
    assert "GUARD_MIN_GB=8" in files["/etc/bootpilot/guard.conf"]
    assert all(text.startswith("#") for path, text in files.items() if path.endswith((".sh", ".conf")))


def test_a_second_import_changes_nothing_that_somebody_wrote(bench: Bench, tmp_path: Path, kind: str) -> None:
    take_in(bench, tmp_path, kind, *WORDS[kind])
    profile = tmp_path / f"site/profiles/{kind}-arm64.toml"
    profile.write_text("# mine\n")
    told = take_in(bench, tmp_path, kind, *WORDS[kind]).stdout
    assert profile.read_text() == "# mine\n"
    assert f"kept: it is there with other content: profiles/{kind}-arm64.toml" in told
    assert "already there: templates/installers/disk-guard.sh" in told


def test_without_an_address_check_or_the_next_steps_say_what_is_missing(bench: Bench, tmp_path: Path, kind: str) -> None:
    told = take_in(bench, tmp_path, kind)
    assert told.returncode == 0
    assert "next:\n  1. name the " in told.stdout
    assert SECRETS[kind] in told.stdout


@pytest.mark.parametrize(
    ("more", "arch", "told"),
    [
        ((), "amd64", "vmlinuz: is a kernel for arm64, expected amd64"),
        (("--name", "Not A Name"), "arm64", "'Not A Name' is no name for a profile"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    bench: Bench, tmp_path: Path, kind: str, more: tuple[str, ...], arch: str, told: str
) -> None:
    refused = take_in(bench, tmp_path, kind, *more, arch=arch)
    assert refused.returncode == 1
    assert told in refused.stderr
    assert not (tmp_path / "site/profiles").exists()


@pytest.mark.parametrize("url", ["file:///etc/passwd", 'http://x/"\ncommand_line = "', "http://a b/"])
def test_an_address_that_could_end_its_line_is_refused(bench: Bench, tmp_path: Path, kind: str, url: str) -> None:
    refused = take_in(bench, tmp_path, kind, WORDS[kind][0], url)
    assert refused.returncode == 1
    assert "expected a URL that begins with http:// or https://" in refused.stderr


SETTINGS = """\
ssh_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHm4TxT8tT8s2Ay5bUvVnR0bG1lYXJlaGFwcHkh irina's key"]
disk_model = "WD*'$(reboot)'"
disk_wipe = true"""


def test_ksvalidator_finds_nothing_wrong_with_the_rendered_kickstart(bench: Bench, tmp_path: Path) -> None:
    in_force(bench, tmp_path, "kickstart", SETTINGS)
    files = files_of(bench, plan_of(bench))
    assert f"--password={HASH}" in files["/ks.cfg"]
    assert validate(tmp_path, files["/ks.cfg"]) == ""
    assert validate(tmp_path, files["/ks.cfg"].replace("rootpw --lock", "rootpw --lok")) != ""
    (tmp_path / "guard.conf").write_text(files["/etc/bootpilot/guard.conf"])
    shell = ["sh", "-c", f'. {tmp_path}/guard.conf; echo "$GUARD_MODEL $GUARD_WIPE"']
    assert subprocess.run(shell, capture_output=True, text=True, timeout=60).stdout == "WD*'$(reboot)' yes\n"


def validate(folder: Path, text: str) -> str:
    """What the validator says, "" if nothing."""
    path = folder / "rendered.cfg"
    path.write_text(text)
    done = subprocess.run([VALIDATOR, "--version", "F42", path], capture_output=True, text=True, timeout=120)
    return done.stdout + done.stderr if done.returncode else ""


def test_the_rendered_seed_is_what_ubuntus_installer_takes(bench: Bench, tmp_path: Path) -> None:
    in_force(bench, tmp_path, "autoinstall", SETTINGS)
    plan = plan_of(bench)
    files = files_of(bench, plan)
    assert files["/etc/bootpilot/user-data"].startswith("#cloud-config\n")
    answers = yaml.safe_load(files["/etc/bootpilot/user-data"])
    assert list(answers) == ["autoinstall"]
    inner = answers["autoinstall"]
    assert set(inner) <= AUTOINSTALL.keys()
    for key, value in inner.items():
        assert isinstance(value, AUTOINSTALL[key]), key
    assert inner["version"] == 1
    assert inner["identity"]["password"] == HASH
    assert inner["identity"]["hostname"] == f"node-{plan.node_id[:8]}"
    assert inner["ssh"]["authorized-keys"][0].endswith("irina's key")
    # Until the guard has chosen, no disk has this name: an installer that skips it writes nothing.
    assert inner["storage"]["layout"] == {"name": "direct", "match": {"path": "/dev/no-disk-was-chosen"}}
    for commands in ("early-commands", "late-commands", "error-commands"):
        for command in inner[commands]:
            assert command[0] in files, command
    assert yaml.safe_load(files["/etc/bootpilot/meta-data"]) == {"instance-id": f"bootpilot-{plan.node_id}"}
    assert "autoinstall" in (plan.boot.command_line if plan.boot else "")


# Keys of subiquity's autoinstall-schema.json that are used here, with their types.
AUTOINSTALL: dict[str, type] = {
    "version": int,
    "interactive-sections": list,
    "locale": str,
    "keyboard": dict,
    "timezone": str,
    "refresh-installer": dict,
    "identity": dict,
    "ssh": dict,
    "packages": list,
    "early-commands": list,
    "storage": dict,
    "late-commands": list,
    "error-commands": list,
    "shutdown": str,
}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_board_adds_a_directive_by_what_it_says_of_itself(bench: Bench, tmp_path: Path, kind: str, hostile: str) -> None:
    in_force(bench, tmp_path, kind)
    tame = files_of(bench, plan_of(bench))
    told = "".join(char for char in hostile if char.isprintable())
    evidence = (*serial(), piece(EvidenceKind.CARD_CID, told[:60]))
    wild = files_of(bench, plan_of(bench, evidence=evidence, model=hostile))
    assert wild.keys() == tame.keys()
    for path, text in wild.items():
        assert len(text.splitlines()) == len(tame[path].splitlines()), path
    if kind == "kickstart":
        assert directives(wild["/ks.cfg"]) == directives(tame["/ks.cfg"])
    else:
        answers = [yaml.safe_load(files["/etc/bootpilot/user-data"]) for files in (tame, wild)]
        assert shape(answers[0]) == shape(answers[1])


def test_a_serial_number_with_quotes_stays_one_value_of_the_mark(bench: Bench, tmp_path: Path, kind: str) -> None:
    in_force(bench, tmp_path, kind)
    odd = '"}, "node_id": "x' + "'$(reboot)"
    files = files_of(bench, plan_of(bench, evidence=serial(odd)))
    assert json.loads(files["/etc/bootpilot/evidence.json"]) == {"kind": "dt-serial", "value": odd}


def run_leave_mark(tmp_path: Path, *, after: str = "300", partition: str = "2") -> tuple[subprocess.CompletedProcess[str], str]:
    """In a tree of its own, with a guard and a caller that write down what they were told."""
    root, here, target = tmp_path / "root", tmp_path / "etc", tmp_path / "target"
    device = root / "sys/devices/pci/ata1/block/sda/sda2"
    for folder in (here, target, device, root / "sys/dev/block", root / "sys/class/block", root / "bootpilot", root / "run"):
        folder.mkdir(parents=True, exist_ok=True)
    (device / "partition").write_text(f"{partition}\n") if partition else None
    for link in (root / "sys/dev/block/8:2", root / "sys/class/block/sda2"):
        link.unlink(missing_ok=True)
        link.symlink_to(device)
    note = {"node_id": "00000000-0000-4000-8000-000000000001", "install_id": "00000000-0000-4000-8000-000000000002"}
    (root / "bootpilot/boot.json").write_text(
        "{\n" + ",\n".join(f'"{key}": "{value}"' for key, value in note.items()) + "\n}\n"
    )
    (tmp_path / "mountinfo").write_text(f"29 1 0:1 / / rw - rootfs x rw\n40 29 8:2 / {target} rw - ext4 /dev/sda2 rw\n")
    (here / "mark.conf").write_text(f"AUTONOMOUS_AFTER_S={after}\nGIVE_UP_S=100\n")
    (here / "evidence.json").write_text('{"kind": "dt-serial", "value": "10000000abcdef01"}\n')
    calls = tmp_path / "calls"
    calls.write_text("")
    guard = f'#!/bin/sh\necho "guard $*" >>{calls}\n[ "$1" != partitions ] || echo "2 1048576 4096 linux 4d0b5f4c-02"\n'
    (here / "disk-guard.sh").write_text(guard)
    (here / "call-server.sh").write_text(f'#!/bin/sh\necho "call $*" >>{calls}\n')
    for script in ("disk-guard.sh", "call-server.sh"):
        (here / script).chmod(0o755)
    (here / "leave-mark.sh").write_text((TEXTS / "installers/leave-mark.sh").read_text())
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "CALL_ROOT": str(root), "MARK_MOUNTS": str(tmp_path / "mountinfo")}
    (root / "run/bootpilot").mkdir(exist_ok=True)
    argv = ["sh", str(here / "leave-mark.sh"), str(target), "/var/log/one"]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60)
    return done, calls.read_text()


def test_the_mark_that_a_script_leaves_is_one_that_the_agent_reads(tmp_path: Path) -> None:
    done, calls = run_leave_mark(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    mark = Mark.from_file((tmp_path / "target/etc/bootpilot/installed.json").read_bytes())
    assert (mark.root_partuuid, mark.autonomous_after_s, mark.evidence_value) == ("4d0b5f4c-02", 300, SERIAL)
    said = [line for line in calls.splitlines() if line.startswith("call")]
    assert said == ["call event installing stage=marked", "call event installed", "call log /var/log/one", "call done"]
    assert calls.index("guard unclaim sda") < calls.index("stage=marked")


def test_a_mark_may_forbid_to_boot_without_a_server(tmp_path: Path) -> None:
    run_leave_mark(tmp_path, after="-1")
    assert Mark.from_file((tmp_path / "target/etc/bootpilot/installed.json").read_bytes()).autonomous_after_s is None


def test_a_root_without_a_partition_is_no_finished_install(tmp_path: Path) -> None:
    done, calls = run_leave_mark(tmp_path, partition="")
    assert done.returncode == 1
    assert "call done" not in calls
    assert "call failed the mark could not be written" in calls
    assert not (tmp_path / "target/etc/bootpilot/installed.json").exists()


def in_a_copy_of_this_machine(tmp_path: Path, script: str) -> str:
    """What a shell prints whose root is this machine's, but that nothing it writes stays. Needs root."""
    enter = (
        'mount -t tmpfs none "$1" && mkdir "$1/upper" "$1/work" "$1/root" && mount -t overlay overlay -o'
        ' "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root" && exec chroot "$1/root" sh -ec "$2"'
    )
    (tmp_path / "overlay").mkdir()
    argv = ["unshare", "--mount", "sh", "-ec", enter, "sh", str(tmp_path / "overlay"), script]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout


INITRD_FILES = """
mkdir -p /bootpilot /etc/bootpilot /scripts/init-bottom /live
echo note >/bootpilot/boot.json; chmod 600 /bootpilot/boot.json
for name in user-data meta-data guard.conf; do echo $name >/etc/bootpilot/$name; done
echo '/scripts/init-bottom/udev "$@"' >/scripts/init-bottom/ORDER
"""


def test_what_ubuntus_initrd_was_given_is_in_the_live_system_when_the_initrd_is_gone(tmp_path: Path) -> None:
    hook, conf = ((TEXTS / "autoinstall" / name).read_text() for name in ("init-bottom.sh", "conf.sh"))
    script = f"""{INITRD_FILES}
        cat >/scripts/init-bottom/bootpilot <<'END'\n{hook}\nEND
        echo '#!/bin/sh' >/scripts/init-bottom/udev
        chmod 755 /scripts/init-bottom/*
        {conf}
        rootmnt=/live; export rootmnt
        . /scripts/init-bottom/ORDER
        cd /live && find . -type f -o -type d -perm 700 | sort && stat -c %a bootpilot/boot.json"""
    assert in_a_copy_of_this_machine(tmp_path, script).split() == [
        "./bootpilot",
        "./bootpilot/boot.json",
        "./etc/bootpilot",
        "./etc/bootpilot/guard.conf",
        "./var/lib/cloud/seed/nocloud",
        "./var/lib/cloud/seed/nocloud/meta-data",
        "./var/lib/cloud/seed/nocloud/user-data",
        "600",
    ]


def test_what_anacondas_initrd_was_given_is_there_for_pre(tmp_path: Path) -> None:
    hook = (TEXTS / "kickstart/00-bootpilot.sh").read_text()
    (pre,) = re.findall(r"(?m)^%pre .*\n# .*\n(.*)\nexec ", (TEXTS / "kickstart/ks.cfg").read_text())
    script = f"""{INITRD_FILES}
        mode=$(stat -c %a /)
        {hook}
        rm -r /bootpilot /etc/bootpilot
        {pre}
        stat -c %a /bootpilot/boot.json /run/bootpilot-files
        cat /etc/bootpilot/guard.conf
        [ "$(stat -c %a /)" = "$mode" ] && echo as it was"""
    assert in_a_copy_of_this_machine(tmp_path, script).split() == ["600", "700", "guard.conf", "as", "it", "was"]
