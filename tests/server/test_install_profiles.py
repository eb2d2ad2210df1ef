"""[install] of a profile: read, checked by line, rendered into the one file that tells the installer what to do."""

import io
import json
import time
import uuid
from pathlib import Path

import pytest

from bootpilot_agent.install_order import MAX_ORDER_BYTES, ORDER_PATH, Compression, ImageKind, InstallOrder
from bootpilot_agent.inventory import Transport
from bootpilot_agent.plan import Plan
from bootpilot_server.artifacts.artifact_pruning import prune
from bootpilot_server.deciding.recipes import Template
from bootpilot_server.site_folder.check import check_folder
from bootpilot_server.store import node_records
from tests.fakes.bench import Bench
from tests.fakes.images import BLOCK_MAP, DISK, IMAGE, OCI_FILES, disk, install_profile, plan_of, put_in_force, tar, zstd
from tests.fakes.installing_boards import FEATURES
from tests.fakes.installs import install_rule, reason, text
from tests.fakes.reports import SERIAL, again, make_report
from tests.fakes.server_process import bootpilot
from tests.fakes.site import INITRD, KERNEL, digest, write_site

WHOLE = """
autonomous_after_s = 300
hostname = "{{ node.labels.role | default('web') }}-{{ node.serial[-4:] }}"
dns = ["192.0.2.53", "{{ node.address.partition('/')[0] }}"]
console = "ttyS0,115200"
kernel_arguments = "panic=10 model={{ node.arch }}"
first_boot = '''
#!/bin/sh
echo {{ node.id }} {% include "hello" %}
'''
"""
TABLES = """
[install.disk]
transports = ["sata", "nvme"]
min_gb = 8
model = "WD*"
wipe = true

[[install.partition]]
mount = "/"
size_mib = 4096

[[install.partition]]
fs = "swap"
size_mib = 512
label = "swap-{{ node.serial[-2:] }}"

[[install.user]]
name = "irina"
password = "{{ secret('irina') }}"
ssh_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHm4TxT8tT8s2Ay5bUvVnR0bG1lYXJlaGFwcHkh irina"]
sudo = true
"""
HASH = "$6$salt$" + "a" * 86


def order_of(bench: Bench, plan: Plan) -> InstallOrder:
    return InstallOrder.from_json(raw_order(bench, plan))


def raw_order(bench: Bench, plan: Plan) -> bytes:
    """As the agent fetches it."""
    assert plan.boot is not None, plan.wait
    (file,) = [file for file in plan.boot.files if file.path == ORDER_PATH]
    assert file.mode == 0o600
    (url,) = file.artifact.urls
    fetched = bench.client.get(url, headers={"Authorization": f"Bearer {plan.token}"})
    assert fetched.status_code == 200, fetched.text
    assert digest(fetched.data) == file.artifact.sha256
    assert len(fetched.data) < MAX_ORDER_BYTES
    return bytes(fetched.data)


def write_secret(bench: Bench, value: str = HASH) -> None:
    home = bench.server.config.home
    (home / "secrets.toml").write_text('[irina]\nfile = "irina"\n')
    (home / "secrets.toml").chmod(0o600)
    (home / "irina").write_text(value + "\n")


def faults(bench: Bench, tmp_path: Path, lamp: str, images: tuple[bytes, ...] = (IMAGE,), **texts: str) -> list[str]:
    for content in (KERNEL, INITRD, *images):
        bench.server.artifacts.add(io.BytesIO(content))
    site = write_site(tmp_path / "folder", profiles__lamp=lamp, rules__lab=install_rule("v1"), **texts)
    return [str(finding) for finding in check_folder(site, bench.server.artifacts).findings]


def test_the_shortest_install_has_a_root_a_name_and_no_autonomous_boot(bench: Bench) -> None:
    put_in_force(bench, install_profile(more=""))
    plan = plan_of(bench)
    order = order_of(bench, plan)
    assert (order.image.kind, order.image.compression) == (ImageKind.TAR, Compression.ZSTD)
    assert (order.image.artifact.sha256, order.image.artifact.size_bytes) == (digest(IMAGE), len(IMAGE))
    assert [partition.mount for partition in order.partitions] == ["/"]
    assert (order.system.hostname, order.autonomous_after_s) == (f"board-{plan.node_id[:8]}", None)
    assert not order.guard.wipe
    assert Transport.MMC not in order.guard.transports
    assert "files" in plan.requires
    assert bench.client.get(order.image.artifact.urls[0]).data == IMAGE


def test_all_of_it_reaches_the_installer_with_each_text_rendered(bench: Bench) -> None:
    write_secret(bench)
    put_in_force(bench, install_profile(WHOLE, more=TABLES), templates__hello="hello")
    plan = plan_of(bench)
    order = order_of(bench, plan)
    assert order.autonomous_after_s == 300
    assert order.system.hostname == f"web-{SERIAL[-4:]}"
    assert order.system.dns == ("192.0.2.53", "10.0.0.7")
    assert order.system.kernel_arguments == "panic=10 model=arm64"
    assert order.system.first_boot == f"#!/bin/sh\necho {plan.node_id} hello\n"
    assert [user.password for user in order.system.users] == [HASH]
    assert (order.guard.min_bytes, order.guard.model, order.guard.wipe) == (8 * 10**9, "WD*", True)
    assert [(part.mount, part.size_mib, part.label) for part in order.partitions] == [("/", 4096, ""), ("", 512, "swap-01")]


def test_a_repeated_question_renders_the_same_bytes(bench: Bench) -> None:
    put_in_force(bench, install_profile(WHOLE), templates__hello="hello")
    first = plan_of(bench)
    report = make_report(features=FEATURES)
    plan = bench.plan(report)
    later = bench.plan(again(report), plan.token)
    assert first.boot is not None
    assert plan.boot is not None
    assert later.boot is not None
    assert first.boot.files == plan.boot.files == later.boot.files


def test_an_order_with_a_secret_is_no_artifact_and_one_without_is(bench: Bench) -> None:
    write_secret(bench)
    put_in_force(bench, install_profile(WHOLE, more=TABLES), templates__hello="hello")
    plan = plan_of(bench)
    raw = raw_order(bench, plan)
    assert not bench.server.artifacts.has(digest(raw))
    for path in bench.server.config.home.rglob("*"):
        if path.is_file() and "secret-files" not in path.parts and path.name != "irina":
            assert HASH.encode() not in path.read_bytes(), path
    put_in_force(bench, install_profile(), templates__hello="hello")
    assert bench.server.artifacts.has(digest(raw_order(bench, plan_of(bench))))


def test_render_shows_the_order_with_secrets_redacted_and_explain_tells_of_no_fault(bench: Bench) -> None:
    write_secret(bench)
    put_in_force(bench, install_profile(WHOLE, more=TABLES), templates__hello="hello")
    plan = plan_of(bench)
    home = bench.server.config.home
    shown = json.loads(bootpilot(home, "--json", "render", plan.node_id).stdout)
    (file,) = shown["files"]
    assert (file["path"], file["mode"], file["secret"]) == (ORDER_PATH, "0600", True)
    assert json.loads(file["content"])["system"]["users"][0]["password"] == "***irina***"
    assert json.loads(bootpilot(home, "--json", "explain", plan.node_id).stdout)["action"] == "boot"
    assert "lamp" in bootpilot(home, "secret", "list").stdout


@pytest.mark.parametrize(
    ("role", "told"),
    [
        ("a b", "install.hostname: expected letters, digits, dashes and dots, got 'a b'"),
        ("", "install.hostname: expected letters, digits, dashes and dots, got ''"),
        ("x" * 80, "install.hostname: expected letters"),
        ("{{ 7*7 }}", "install.hostname: expected letters"),
        ("$(reboot)", "install.hostname: expected letters"),
    ],
)
def test_a_host_name_that_is_none_makes_the_board_wait_and_names_the_field(bench: Bench, role: str, told: str) -> None:
    put_in_force(bench, install_profile("hostname = \"{{ node.labels.role | default('ok') }}\""))
    node_id = plan_of(bench).node_id
    with bench.server.database.writing() as connection:
        node_records.change_node(connection, node_id, labels=json.dumps({"role": role}))
    plan = bench.plan(make_report(features=FEATURES))
    assert reason(plan) == "render-error"
    assert told in text(plan)


def test_a_secret_that_is_no_hash_is_never_shown_in_the_reason(bench: Bench) -> None:
    write_secret(bench, "hunter2 in clear")
    put_in_force(bench, install_profile(more=TABLES))
    plan = plan_of(bench)
    assert reason(plan) == "render-error"
    assert "install.user[0].password: expected a hash as `openssl passwd -6` prints it" in text(plan)
    assert "hunter2" not in text(plan)


def test_what_nobody_gave_the_node_makes_it_wait_with_the_place_that_names_it(bench: Bench) -> None:
    put_in_force(bench, install_profile('hostname = "{{ node.name }}"'))
    plan = plan_of(bench)
    assert reason(plan) == "render-error"
    assert "install.hostname:1: UndefinedError" in text(plan)


@pytest.mark.parametrize("hostile", ["<script>", '", "wipe": true, "x": "', "\n\r\u2028", "{{ node }}", "a" * 200])
def test_a_board_cannot_change_the_order_by_what_it_says_of_itself(bench: Bench, hostile: str) -> None:
    script = "first_boot = '''{{ node.serial }}{{ node.model }}'''"
    put_in_force(bench, install_profile(script))
    tame = json.loads(raw_order(bench, plan_of(bench, model=hostile)))
    shown = "".join(char if char.isprintable() else "\ufffd" for char in hostile)
    assert tame["system"]["first_boot"] == SERIAL + shown
    assert set(tame) == {"version", "image", "disk", "partitions", "system", "autonomous_after_s"}
    assert tame["disk"]["wipe"] is False


FAULTY = [
    ('hostname = "a b"', "", "install.hostname: expected letters, digits, dashes and dots, got 'a b'"),
    ('hostname = "{{ nodes.name }}"', "", "install.hostname: unknown variable nodes; known: node, profile, settings, secret"),
    ('hostname = "{{ node.name"', "", "install.hostname: unexpected end of template"),
    ('first_boot = "{% include \'gone\' %}"', "", "install.first_boot: includes gone, which is not in templates/"),
    ('kernel_arguments = "x={{ secret(node.id) }}"', "", "a secret is named by its name in quotes"),
    ("hostname = \"{{ secret('nobody') }}\"", "", "install.hostname: secret nobody is not declared in secrets.toml"),
    ("autonomous_after_s = -1", "", "install.autonomous_after_s: expected a whole number from 0"),
    ('hostnam = "x"', "", "install.hostnam: unknown key; did you mean hostname?"),
    ('addressing = "static"', "", "install.address: expected an address if addressing is static"),
    ('console = "ttyS0 quiet"', "", "install.console: expected such as ttyS0,115200"),
    ("", '[[install.user]]\nname = "irina"\npassword = "hunter2"', "`openssl passwd -6`"),
    ("", '[[install.user]]\nname = "Irina"', "install.user[0].name: expected a user's name in lower case, got 'Irina'"),
    ("", '[[install.user]]\nname = "a"\nssh_keys = ["rsa"]', "install.user[0].ssh_keys: expected a public key"),
    ("", '[[install.partition]]\nmount = "/srv"', 'install.partition: expected one with mount = "/"'),
    ("", '[[install.partition]]\nmount = "srv"', "install.partition[0].mount: expected an absolute path"),
    ("", '[install.disk]\ntransports = ["floppy"]', "install.disk.transports: expected one or more of"),
    ("", "[install.disk]\ntransports = []", "install.disk.transports: expected one or more of"),
    ("", '[install.disk]\nmin_gb = 4\n[[install.partition]]\nmount = "/"\nsize_mib = 8192', "warning: install.disk.min_gb: a"),
    ("", '[install.disk]\npath = "sata"', "warning: install.disk.path: no disk fits 'sata'"),
]  # fmt: skip


@pytest.mark.parametrize(("install", "more", "told"), FAULTY, ids=[str(number) for number in range(len(FAULTY))])
def test_what_is_wrong_is_named_with_file_and_line(bench: Bench, tmp_path: Path, install: str, more: str, told: str) -> None:
    lamp = install_profile(install, more=more)
    found = [fault for fault in faults(bench, tmp_path, lamp) if told in fault]
    assert found, faults(bench, tmp_path, lamp)
    wrong = install or more.splitlines()[-1]
    lines = [number for number, line in enumerate(lamp.splitlines(), start=1) if line == wrong]
    if not any(word in told for word in ("partition: ", "min_gb", "addressing")):
        assert found[0].startswith(f"profiles/lamp.toml:{lines[0]}:"), found


def test_a_password_in_clear_is_not_shown_by_check(bench: Bench, tmp_path: Path) -> None:
    lamp = install_profile(more='[[install.user]]\nname = "irina"\npassword = "hunter2"')
    assert "hunter2" not in "\n".join(faults(bench, tmp_path, lamp))


def test_several_faults_are_told_at_once(bench: Bench, tmp_path: Path) -> None:
    more = '[install.disk]\ntransports = []\n[[install.user]]\nname = "A"\n[[install.user]]\nname = "B"'
    assert len(faults(bench, tmp_path, install_profile('hostname = "a b"', more=more))) == 4


def test_only_a_profile_that_installs_has_an_install(bench: Bench, tmp_path: Path) -> None:
    lamp = install_profile().replace("writes_disk = true", "").replace('"installed"', '"payload-up"')
    lamp = "\n".join(line for line in lamp.splitlines() if not line.startswith("done_deadline_s"))
    assert any("install: belongs to a profile that installs" in fault for fault in faults(bench, tmp_path, lamp))


def test_the_order_is_not_written_by_a_file_too(bench: Bench, tmp_path: Path) -> None:
    lamp = install_profile(more=f'[[file]]\npath = "{ORDER_PATH}"\ncontent = "{{}}"')
    assert any("is what [install] makes" in fault for fault in faults(bench, tmp_path, lamp))


KINDS = [
    (IMAGE, "disk", 'says "disk", and rootfs is an archive of files'),
    (DISK, "tar", 'says "tar", and rootfs is an image of a whole disk'),
    (tar(OCI_FILES), "tar", "rootfs is a container image"),
    (zstd(b"what else" * 400), "tar", "warning: rootfs does not look like an archive of files"),
    (b"BZh91AY" + b"x" * 2000, "tar", "install.image: is packed with bzip2"),
]


@pytest.mark.parametrize(("image", "kind", "told"), KINDS, ids=["tar", "disk", "oci", "neither", "bzip2"])
def test_an_image_that_is_not_what_the_profile_says_is_named(
    bench: Bench, tmp_path: Path, image: bytes, kind: str, told: str
) -> None:
    found = faults(bench, tmp_path, install_profile(image=image, kind=kind), (image,))
    assert any(told in fault for fault in found), found


def test_a_compression_that_the_file_contradicts_is_named(bench: Bench, tmp_path: Path) -> None:
    lamp = install_profile().replace('kind = "tar"', 'kind = "tar"\ncompression = "xz"')
    assert any("says xz, and the file itself is zst" in fault for fault in faults(bench, tmp_path, lamp))


@pytest.mark.parametrize(("image", "kind"), [(DISK, "disk"), (tar(OCI_FILES), "oci"), (disk(), "disk"), (tar(), "tar")])
def test_images_of_every_kind_are_taken(bench: Bench, tmp_path: Path, image: bytes, kind: str) -> None:
    assert faults(bench, tmp_path, install_profile(image=image, kind=kind), (image,)) == []


def test_a_block_map_goes_with_a_disk_and_is_one(bench: Bench, tmp_path: Path) -> None:
    table = f'[install.image.block_map]\nsha256 = "{digest(BLOCK_MAP)}"'
    good = install_profile(image=DISK, kind="disk", more=table)
    assert faults(bench, tmp_path, good, (DISK, BLOCK_MAP)) == []
    other = install_profile(image=DISK, kind="disk", more=table.replace(digest(BLOCK_MAP), digest(INITRD)))
    assert any("is no block map" in fault for fault in faults(bench, tmp_path, other, (DISK,)))
    assert any('goes with kind = "disk"' in fault for fault in faults(bench, tmp_path, install_profile(more=table), (IMAGE,)))
    put_in_force(bench, good, (DISK, BLOCK_MAP))
    image = order_of(bench, plan_of(bench)).image
    assert image.block_map is not None
    assert (image.compression, image.block_map.size_bytes) == (Compression.XZ, len(BLOCK_MAP))


def test_an_image_that_is_not_here_is_named(bench: Bench, tmp_path: Path) -> None:
    found = faults(bench, tmp_path, install_profile(), ())
    assert any("artifact rootfs is not on this server; `bootpilot artifact add FILE`" in fault for fault in found)


def test_artifact_add_prints_what_install_needs_of_an_image(bench: Bench, tmp_path: Path) -> None:
    for name, content in (("rootfs.tar.zst", IMAGE), ("board.img.xz", DISK), ("board.bmap", BLOCK_MAP)):
        (tmp_path / name).write_bytes(content)
    home = bench.server.config.home
    told = bootpilot(home, "artifact", "add", str(tmp_path / "rootfs.tar.zst")).stdout
    assert f'[install.image]\nsha256 = "{digest(IMAGE)}"\nsize = {len(IMAGE)}\nname = "rootfs.tar.zst"\nkind = "tar"' in told
    assert f"unpacked_size = {len(tar())}" in told
    told = bootpilot(home, "artifact", "add", str(tmp_path / "board.img.xz")).stdout
    assert f'kind = "disk"\nunpacked_size = {len(disk())}' in told
    assert "[install.image.block_map]" in bootpilot(home, "artifact", "add", str(tmp_path / "board.bmap")).stdout
    listed = bootpilot(home, "artifact", "list").stdout
    assert "root file system" in listed
    assert "disk image" in listed


def test_prune_keeps_the_image_that_a_profile_in_force_names(bench: Bench) -> None:
    put_in_force(bench, install_profile())
    refused = bootpilot(bench.server.config.home, "artifact", "rm", digest(IMAGE)[:12])
    assert refused.returncode == 1
    assert "is named by profiles/lamp.toml, which is in force" in refused.stderr


def test_another_order_is_another_install_for_the_preview_and_templates_that_it_does_not_use_are_not(bench: Bench) -> None:
    put_in_force(bench, install_profile(WHOLE), templates__hello="hello", templates__other="1")
    plan_of(bench)
    home, site = bench.server.config.home, bench.folder / "site"
    same = write_site(site, profiles__lamp=install_profile(WHOLE), rules__lab=install_rule("v1"), templates__other="2")
    assert "0 of 1 nodes" in bootpilot(home, "apply", "--dry-run", str(same)).stdout
    write_site(site, profiles__lamp=install_profile(WHOLE), rules__lab=install_rule("v1"), templates__hello="bye")
    assert "1 of 1 nodes" in bootpilot(home, "apply", "--dry-run", str(site)).stdout


def test_a_text_without_marks_stays_as_it_is_to_the_last_byte(bench: Bench) -> None:
    put_in_force(bench, install_profile('first_boot = "a\\r\\nb {x} %}\\n"'))
    assert order_of(bench, plan_of(bench)).system.first_boot == "a\r\nb {x} %}\n"


def test_templates_of_a_profile_have_no_name_that_a_file_could_have(bench: Bench) -> None:
    put_in_force(bench, install_profile(WHOLE), templates__hello="hello")
    with bench.server.database.reading() as connection:
        recipe = bench.server.revisions.in_force(connection).profiles["lamp"].install
    assert recipe is not None
    assert all(isinstance(one, Template) and one.name.startswith("//") for one in recipe.templates)
    assert uuid.UUID(plan_of(bench).node_id)


def test_prune_keeps_the_image_of_an_install_under_way_whatever_was_put_in_force_since(bench: Bench) -> None:
    put_in_force(bench, install_profile())
    plan = plan_of(bench)
    assert plan.writes_disk
    for number in range(12):
        put_in_force(bench, install_profile(image=DISK, kind="disk", head=f"attempts = {number + 1}"), (DISK,))
    later = time.time() + 8 * 86400
    bench.server.config.artifacts.joinpath(digest(IMAGE)).touch()
    with bench.server.database.writing() as connection:
        connection.exec_driver_sql("UPDATE boots SET planned_at = planned_at + 700000")
    prune(bench.server, later, remove=True)
    assert bench.server.artifacts.has(digest(IMAGE))
    with bench.server.database.writing() as connection:
        connection.exec_driver_sql("UPDATE boots SET planned_at = planned_at - 700000")
    prune(bench.server, later, remove=True)
    assert not bench.server.artifacts.has(digest(IMAGE))
