"""What this loader was told: by its command line, its card, and the loader that started it. Says on the console what counts.

Reads the card through `Devices`; what each source means is settings.py's.
"""

from collections.abc import Callable
from dataclasses import replace

from bootpilot_agent.boot_note import Origin
from bootpilot_agent.card import Card
from bootpilot_agent.card_settings import CARD_FILE, read_card
from bootpilot_agent.devices import Devices
from bootpilot_agent.earlier_note import carry_on, read_earlier_note
from bootpilot_agent.given_identity import IDENTITY, is_given
from bootpilot_agent.kernel_command_line import own_words, read_command_line
from bootpilot_agent.settings import Settings, merge
from bootpilot_agent.taps import tap

CARD_S = 20.0
# Of the words of several loaders' command lines; the note's reader takes no more.
MAX_WORDS = 64


def read_loader_settings(devices: Devices, build_id: str, idle: Callable[[float], object]) -> tuple[Settings, Origin]:
    """`idle(seconds)` is called while the card has not appeared yet. Never raises for what somebody wrote."""
    say = devices.console.say
    earlier = read_earlier_note(devices.root)
    # What the loader before this one was told counts, and what this one is told itself counts more: the last word wins.
    raw = (devices.root / "proc/cmdline").read_bytes()
    tap().read(devices.root / "proc/cmdline", raw)
    own = own_words(raw.decode(errors="replace"))
    words = (*earlier.settings, *own)[-MAX_WORDS:]
    command_line = read_command_line(" ".join(words))
    card = _find_card(merge(command_line)[0].card or earlier.card_partuuid, devices, idle)
    origin = Origin(card, earlier, build_id, words)
    copy = origin.card_copy()
    if copy and (card is None or card.problem) and copy.get(CARD_FILE):
        say("card: its settings are those that the loader before this one read")
    settings, problems = merge(command_line, read_card(copy[CARD_FILE], copy) if CARD_FILE in copy else None)
    for problem in problems:
        say(str(problem))
    settings, carried = carry_on(settings, earlier)
    if carried:
        say(f"settings: {', '.join(carried)} as the loader before this one had them")
    if is_given(devices.root):
        say(f"identity: given by a test in /{IDENTITY}; what this board reports is marked as simulated")
        settings = replace(settings, simulated=True)
    return settings, origin


def _find_card(partuuid: str, devices: Devices, idle: Callable[[float], object]) -> Card | None:
    if not partuuid:
        return None
    card = devices.find_card(partuuid, wait_s=CARD_S, poll=idle)
    if card is None:
        devices.console.say(f"card: no partition with PARTUUID {partuuid} appeared; going on without its settings")
    else:
        devices.console.say(f"card: {card.device} on {card.disk_path}" + (f": {card.problem}" if card.problem else ""))
    return card
