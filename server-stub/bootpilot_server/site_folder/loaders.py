"""Reads loaders/NAME.toml: a newer loader for boards whose card holds an older one. Collects every fault. No I/O here."""

from bootpilot_agent.plan import ARCHITECTURES, BUILD_PATTERN
from bootpilot_server.deciding.recipes import Expects, Loader, Offer
from bootpilot_server.site_folder.findings import Table
from bootpilot_server.site_folder.profiles import check_command_line_of, read_payload
from bootpilot_server.site_folder.rules import read_selector

ARM = ("arm64", "armhf")
# What a card has on its loader's command line, and a loader that comes over the network must be given as well:
# the word, the architectures, and what happens without it.
LOADER_WORDS = (
    ("rootfstype=ramfs", ARCHITECTURES, "its root is then limited to half of the memory, and the payload must fit in it"),
    ("panic=10", ARCHITECTURES, "a board whose new loader panics then stands still until somebody comes"),
    ("nr_cpus=1", ARM, "boards without PSCI then refuse kexec, because they cannot park their other CPUs"),
)


def read_loader(name: str, table: Table) -> Loader:
    """Faults go into the table's document; what comes back is whole only if there are none."""
    build = table.text("build", pattern=BUILD_PATTERN, expected="the build id that this loader's agent reports")
    loader = Loader(
        # The blank keeps it apart from every profile's name.
        # What it owes is a report of its own, not an event of the boot that started it.
        payload=read_payload(f"loader {name}", Expects.NONE, table),
        build=build,
        offer=table.choice("offer", Offer, Offer.ALWAYS),
        selector=read_selector(name, table, outcome=build),
    )
    if not loader.payload.arch:
        table.fault("arch", "expected one of " + ", ".join(ARCHITECTURES))
    else:
        check_command_line_of(loader.payload, table)
        _warn_of_missing_words(loader, table)
    table.close()
    return loader


def default_command_line(arch: str) -> str:
    """What `bootpilot loader add` proposes."""
    return " ".join(word for word, archs, _ in LOADER_WORDS if arch in archs)


def _warn_of_missing_words(loader: Loader, table: Table) -> None:
    given = {word.partition("=")[0] for word in loader.payload.command_line.split()}
    for word, archs, otherwise in LOADER_WORDS:
        if loader.payload.arch in archs and word.partition("=")[0] not in given:
            table.fault("command_line", f"lacks {word}: {otherwise}", warning=True)
