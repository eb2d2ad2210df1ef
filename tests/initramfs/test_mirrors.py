"""Which Debian archives packages come from, on machines of several kinds."""

import pytest

from initramfs.errors import BuildError
from initramfs.mirrors import KEYRING, Suite, sources_list, suites_from_index_targets, suites_from_mirror

BOOKWORM_HOST = (
    "Debian\tbookworm\tmain\thttp://mirror.example/debian/\n"
    "Debian\tbookworm-updates\tmain\thttp://mirror.example/debian/\n"
    "Debian\tbookworm-security\tmain\thttp://mirror.example/debian-security/\n"
)
WANTED = (
    Suite("http://mirror.example/debian", "bookworm", required=True),
    Suite("http://mirror.example/debian", "bookworm-updates"),
    Suite("http://mirror.example/debian-security", "bookworm-security"),
)


def test_a_bookworm_machine_s_own_archives_are_used() -> None:
    assert suites_from_index_targets(BOOKWORM_HOST, "bookworm") == WANTED


def test_a_trixie_machine_gets_bookworm_from_the_archives_that_it_uses() -> None:
    assert suites_from_index_targets(BOOKWORM_HOST.replace("bookworm", "trixie"), "bookworm") == WANTED


def test_a_bookworm_machine_gets_trixie_from_the_archives_that_it_uses() -> None:
    suites = suites_from_index_targets(BOOKWORM_HOST, "trixie")
    assert [(suite.uri, suite.name) for suite in suites] == [
        ("http://mirror.example/debian", "trixie"),
        ("http://mirror.example/debian", "trixie-updates"),
        ("http://mirror.example/debian-security", "trixie-security"),
    ]


def test_archives_that_are_not_debian_s_and_other_components_do_not_count() -> None:
    others = (
        "Node Source\tnodistro\tmain\thttps://deb.example/node/\nDebian\tbookworm\tcontrib\thttp://contrib.example/debian/\n"
    )
    assert suites_from_index_targets(others + BOOKWORM_HOST, "bookworm") == WANTED


def test_before_the_first_update_the_release_s_name_tells_a_debian_archive() -> None:
    fresh = BOOKWORM_HOST.replace("Debian\t", "$(ORIGIN)\t") + "$(ORIGIN)\tcloud-sdk\tmain\thttp://cloud.example/apt/\n"
    assert suites_from_index_targets(fresh, "bookworm") == WANTED


def test_a_machine_without_a_security_archive_does_without() -> None:
    assert suites_from_index_targets("Debian\tbookworm\tmain\tfile:/srv/debian/\n", "bookworm") == (
        Suite("file:/srv/debian", "bookworm", required=True),
        Suite("file:/srv/debian", "bookworm-updates"),
    )


def test_a_machine_of_another_distribution_is_told_what_to_set() -> None:
    with pytest.raises(BuildError) as raised:
        suites_from_index_targets("Ubuntu\tnoble\tmain\thttp://ubuntu.example/ubuntu/\n", "bookworm")
    assert "BOOTPILOT_DEBIAN_MIRROR" in raised.value.hint


def test_a_named_mirror_stands_for_all_three_suites() -> None:
    assert suites_from_mirror("http://mirror.example/debian/", "bookworm") == WANTED


def test_a_mirror_that_is_no_address_is_refused_with_an_example() -> None:
    with pytest.raises(BuildError, match=r"'mirror\.example'") as raised:
        suites_from_mirror("mirror.example", "bookworm")
    assert "http://" in raised.value.hint


def test_sources_are_trusted_by_debian_s_keys_only() -> None:
    assert sources_list(WANTED[:1]) == f"deb [signed-by={KEYRING}] http://mirror.example/debian bookworm main\n"


def test_an_archive_on_this_disk_is_copied_from() -> None:
    assert "copy:/srv/debian bookworm main" in sources_list((Suite("file:/srv/debian", "bookworm"),))
