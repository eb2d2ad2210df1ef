"""What a person may set, on the card (`bootpilot.txt`, TOML) or on the kernel command line (`bootpilot.KEY=`). No I/O here.

SETTINGS is the one table: it reads, checks and documents each key (`python -m bootpilot_agent.settings` prints the
documentation). A wrong value never stops the boot: it becomes a SettingProblem for the console, and the rest counts.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from bootpilot_agent import setting_values as kinds
from bootpilot_agent.card_settings import CARD_FILE, asks_for_https
from bootpilot_agent.raw_settings import CARD, COMMAND_LINE, RawSettings, SettingProblem, shown
from bootpilot_agent.setting_values import Raw, SettingValueError


@dataclass(frozen=True)
class Settings:
    """All settings, merged key by key, the command line first. `server_source` is "" if no server is named here (DHCP may).

    `https_only`: a CA or an https server is among them, so that no http server counts, whoever names it. `ca_lost`: the card
    asks for a CA, or for https, and which cannot be read, so that no server can be believed.
    """

    servers: tuple[str, ...] = ()
    server_source: str = ""
    ca: str = ""
    ca_lost: bool = False
    https_only: bool = False
    trust_dhcp: bool = False
    card: str = ""
    card_wants: str = ""
    interface: str = ""
    address: str = ""
    gateway: str = ""
    dns: tuple[str, ...] = ()
    vlan: int | None = None
    vendor_class: str = ""
    watchdog_s: int = 60
    reboot_after_h: int = 6
    shell: bool = False
    simulated: bool = False
    enrol: str = field(default="", repr=False)


@dataclass(frozen=True)
class Setting:
    """One row: the key, the field of Settings it fills, how it is read, where it may stand, and what it means."""

    key: str
    field: str
    read: Callable[[Raw], object]
    default: str
    where: tuple[str, ...]
    doc: str


BOTH = (COMMAND_LINE, CARD)

SETTINGS = (
    Setting(
        "server", "servers", kinds.read_urls, "from DHCP", BOTH,
        "Base URL of the boot server, http or https; several in a list (on the command line with commas) are tried together. "
        "With a server here, DHCP is never asked for one. Without, DHCP option 224 (a URL as text) counts, else option 67 if "
        "it is an http or https URL. Where the lease names none, or none that answers within three minutes, "
        "other DHCP servers of the network are asked too. "
        "With an https server here, no http server counts.",
    ),
    Setting(
        "ca", "ca", kinds.read_pem, "public CAs", (CARD,),
        "The one CA whose certificates servers must show: its PEM text, or the name of a PEM file beside bootpilot.txt such as "
        '"site-ca.pem". Then no public CA counts, and no http server.',
    ),
    Setting(
        "trust_dhcp", "trust_dhcp", kinds.read_flag, "false", BOTH,
        "true: a server known only from DHCP may give plans that write a disk.",
    ),
    Setting(
        "enrol", "enrol", kinds.read_enrol, "none", (CARD,),
        "`BATCH:secret`, the line that `bootpilot batch create` prints: the server approves boards with it, as many as the "
        "batch says and until its end date. It is shown nowhere, and goes to every server that the board asks.",
    ),
    Setting(
        "card", "card", kinds.read_partuuid, "none", (COMMAND_LINE,),
        "`PARTUUID=...` of the partition that holds bootpilot.txt. Written by the image builder; names the medium that nothing "
        "may write.",
    ),
    Setting(
        "card_wants", "card_wants", kinds.read_demand, "nothing", (COMMAND_LINE,),
        "`https` or `ca`: what bootpilot.txt asked for when the card was made. Where that file is missing, empty or damaged "
        "and does not say so itself, no server is believed; one that can be read whole counts as it is. Written by the image "
        "builder.",
    ),
    Setting(
        "interface", "interface", kinds.read_interface, "every Ethernet interface", BOTH,
        "Use only this interface: its name, or (steadier) its MAC address.",
    ),
    Setting(
        "address", "address", kinds.read_address, "DHCP", BOTH,
        "Static address with prefix length, IPv4 or IPv6, instead of DHCP: `192.0.2.10/24`.",
    ),
    Setting("gateway", "gateway", kinds.read_ip, "none", BOTH, "Default router that goes with `address`."),
    Setting(
        "dns", "dns", kinds.read_ips, "from DHCP", BOTH,
        "Name servers, one or a list; with DHCP they replace those of the lease.",
    ),
    Setting("vlan", "vlan", kinds.read_vlan, "untagged", BOTH, "802.1Q VLAN id, 1 to 4094, in which everything takes place."),
    Setting(
        "vendor_class", "vendor_class", kinds.read_class, "`bootpilot:ARCH`", BOTH,
        "DHCP vendor class (option 60) that the board sends.",
    ),
    Setting(
        "watchdog", "watchdog_s", kinds.read_watchdog, "60", BOTH,
        "Seconds without a sign of life after which the hardware watchdog reboots the board while the agent runs; 0: not used.",
    ),
    Setting(
        "reboot_after", "reboot_after_h", kinds.read_hours, "6", BOTH,
        "Hours without an answer from any boot server after which the board reboots, because a network adapter or USB "
        "controller that hangs may need a reset; made up to a quarter longer by chance; 0: never.",
    ),
    Setting(
        "shell", "shell", kinds.read_flag, "false", (COMMAND_LINE,),
        "A shell on the console instead of the next try. The bare word is enough.",
    ),
    Setting(
        "simulated", "simulated", kinds.read_flag, "false", (COMMAND_LINE,),
        "Marks the reports as those of a test; servers take them only with `--allow-simulated`.",
    ),
)  # fmt: skip
ROWS = {row.key: row for row in SETTINGS}


def merge(command_line: RawSettings, card: RawSettings | None = None) -> tuple[Settings, list[SettingProblem]]:
    """Both sources -> Settings and what in them does not count. A wrong value on the command line leaves the card's."""
    problems = list(command_line.problems) + list(card.problems if card else ())
    fields: dict[str, object] = {}
    for source, raw in ((CARD, card or RawSettings({})), (COMMAND_LINE, command_line)):
        for key, value in raw.values.items():
            place = raw.places.get(key, source)
            try:
                row = _row(key, source)
                fields[row.field] = _read(row, value, place, problems)
            except SettingValueError as error:
                problems.append(SettingProblem(key, shown(value, key), str(error), place))
                fields["ca_lost"] = fields.get("ca_lost", False) or (key == "ca" and source == CARD)
                continue
            if row.key == "server":
                fields["server_source"] = source
    settings = Settings(**fields)  # type: ignore[arg-type]
    if _demand_is_lost(settings, card):
        there = f"the {'CA' if settings.card_wants == 'ca' else 'https server'} that stood there when the card was made"
        problems.append(SettingProblem(CARD_FILE, "a file without it" if card else "no such file", there, CARD))
        settings = replace(settings, ca_lost=True)
    if settings.ca or settings.ca_lost or _wants_https(command_line, card):
        settings = _without_http(settings, problems)
    if (problem := _check_gateway(settings)) is not None:
        return replace(settings, gateway=""), [*problems, problem]
    return settings, problems


def _read(row: Setting, value: Raw, place: str, problems: list[SettingProblem]) -> object:
    """The value, or what of a list can be taken; then the rest is among the problems."""
    try:
        return row.read(value)
    except SettingValueError as error:
        if not error.rest:
            raise
        problems.append(SettingProblem(row.key, shown(error.wrong), str(error), place))
        return error.rest


def _demand_is_lost(settings: Settings, card: RawSettings | None) -> bool:
    """A file that is gone or damaged must not open the door to whomever DHCP names; one that was edited may."""
    if not settings.card_wants or settings.ca_lost or (card is not None and card.whole):
        return False
    return not (settings.ca or (settings.card_wants == "https" and _wants_https(card)))


def _wants_https(*sources: RawSettings | None) -> bool:
    """Also where a server's URL cannot be used for a mistyped character: the person who wrote https meant it."""
    return any(asks_for_https(repr(raw.values.get("server"))) for raw in sources if raw)


def _without_http(settings: Settings, problems: list[SettingProblem]) -> Settings:
    """Never less safe than what was asked for: beside a CA or an https server, an http one does not count."""
    kept = tuple(url for url in settings.servers if url.startswith("https:"))
    dropped = [url for url in settings.servers if url not in kept]
    expected, source = "https, as the settings beside it ask for", settings.server_source
    problems += [SettingProblem("server", url, expected, source) for url in dropped]
    return replace(settings, servers=kept, server_source=settings.server_source if kept else "", https_only=True)


def _check_gateway(settings: Settings) -> SettingProblem | None:
    """A router that `ip` would refuse does not count: the address beside it is enough for a server on the same network."""
    gateway, address = settings.gateway, settings.address
    if gateway and not address:
        expected = "`address` beside it (with DHCP the lease has the router)"
    elif gateway and ((":" in gateway) != (":" in address) or gateway == address.partition("/")[0]):
        expected = f"another host in the network of {address}"
    else:
        return None
    return SettingProblem("gateway", gateway, expected, "merged")


def _row(key: str, source: str) -> Setting:
    row = ROWS.get(key)
    if row is None:
        import difflib  # only for a misspelt key

        close = difflib.get_close_matches(key, ROWS, n=1)
        raise SettingValueError(f"`{close[0]}`" if close else "one of " + ", ".join(ROWS))
    if source not in row.where:
        raise SettingValueError(f"this setting only on the {' or '.join(row.where)}")
    return row


def markdown() -> str:
    """The table of all settings for the documentation."""
    lines = ["| key | command line | card | default | meaning |", "|---|---|---|---|---|"]
    for row in SETTINGS:
        marks = ["yes" if place in row.where else "no" for place in BOTH]
        lines.append(f"| `{row.key}` | {marks[0]} | {marks[1]} | {row.default} | {row.doc} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(markdown(), end="")
