"""What an operator wrote, as types: profiles, rules and the revision that holds them. No I/O here."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeAlias

from bootpilot_agent.install_order import Compression, ImageKind
from bootpilot_agent.local_boot import Find, Otherwise
from bootpilot_agent.plan import DtbPolicy, Watchdog

# What a rules' file may say; a node's own profile stands one above.
MAX_RULE_PRIORITY = 1_000_000
MAX_PRIORITY = MAX_RULE_PRIORITY + 1
OWN_PROFILE = "(this node's own profile)"


# What a profile's [settings] may hold.
Setting = str | int | bool | tuple[str, ...]


class Expects(StrEnum):
    """What must be heard after the jump; only then does silence count as a failure."""

    PAYLOAD_UP = "payload-up"
    INSTALLED = "installed"
    NONE = "none"


class Offer(StrEnum):
    """Which boards get a newer loader: all that may boot, or those that lack what their profile needs."""

    ALWAYS = "always"
    NEEDED = "needed"


@dataclass(frozen=True)
class ArtifactRef:
    """A profile's mention of an artifact. `size_bytes` and `unpacked_bytes` are 0 where the profile does not say."""

    sha256: str
    name: str = ""
    size_bytes: int = 0
    unpacked_bytes: int = 0


@dataclass(frozen=True)
class Template:
    """A template by name, with all the texts of its folder: it may include those and no others. One that `stands_in` a profile
    has a name of its own in the library.
    """

    name: str
    library: Mapping[str, str]
    stands_in: str = ""

    def told(self, name: str) -> str:
        """How errors name a part of it."""
        return self.stands_in if self.stands_in and name == self.name else f"templates/{name}"


@dataclass(frozen=True)
class FileRecipe:
    """One small file for the payload: fixed text, or a template."""

    path: str
    mode: int
    source: str | Template


# A part of an installer's order: as bootpilot_agent.install_order has it in JSON, but that texts may be templates.
OrderPart: TypeAlias = "bool | int | str | Template | tuple[OrderPart, ...] | Mapping[str, OrderPart] | None"


@dataclass(frozen=True)
class ImageRecipe:
    """What is installed. `compression` is None where the file's own first bytes tell it."""

    kind: ImageKind
    artifact: ArtifactRef
    compression: Compression | None = None
    block_map: ArtifactRef | None = None


@dataclass(frozen=True)
class InstallRecipe:
    """The order for `bootpilot-install`: the image, and all the rest in the order's own form."""

    image: ImageRecipe
    order: Mapping[str, OrderPart]

    @property
    def templates(self) -> tuple[Template, ...]:
        return tuple(_templates_in(self.order))

    def map_templates(self, change: Callable[[Template], Template]) -> "InstallRecipe":
        """The same with each template changed."""
        return replace(self, order={key: _map_templates(part, change) for key, part in self.order.items()})


def _templates_in(part: OrderPart) -> Iterator[Template]:
    if isinstance(part, Template):
        yield part
    elif isinstance(part, Mapping):
        for value in part.values():
            yield from _templates_in(value)
    elif isinstance(part, tuple):
        for value in part:
            yield from _templates_in(value)


def _map_templates(part: OrderPart, change: Callable[[Template], Template]) -> OrderPart:
    if isinstance(part, Template):
        return change(part)
    if isinstance(part, Mapping):
        return {key: _map_templates(value, change) for key, value in part.items()}
    return tuple(_map_templates(value, change) for value in part) if isinstance(part, tuple) else part


@dataclass(frozen=True)
class LocalRecipe:
    """How a system that a profile has installed is started, and what becomes of a board on which that failed `failures` times
    in a row. `expects` is what it says of itself afterwards; `rescue` the profile for `Otherwise.RESCUE`.
    """

    find: Find = Find.MARK
    partition: str = ""
    expects: Expects = Expects.NONE
    otherwise: Otherwise = Otherwise.WAIT
    failures: int = 3
    rescue: str = ""


@dataclass(frozen=True)
class Profile:
    """A named recipe that makes a boot plan. `arch` is "" where it fits any."""

    name: str
    expects: Expects
    kernel: ArtifactRef
    initrds: tuple[ArtifactRef, ...] = ()
    dtb_policy: DtbPolicy = DtbPolicy.RUNNING
    dtb: ArtifactRef | None = None
    dtb_overlays: tuple[ArtifactRef, ...] = ()
    command_line: str = ""
    files: tuple[FileRecipe, ...] = ()
    # What its templates see as `settings`: one template serves many profiles.
    settings: Mapping[str, Setting] = field(default_factory=dict)
    arch: str = ""
    requires: tuple[str, ...] = ()
    writes_disk: bool = False
    watchdog: Watchdog = Watchdog.STOP
    valid_s: int = 300
    fetch_deadline_s: int = 3600
    payload_up_deadline_s: int = 300
    done_deadline_s: int = 7200
    attempts: int = 3
    local: LocalRecipe = LocalRecipe()
    # For this project's own installer; others are told what to do by their answer files.
    install: InstallRecipe | None = None
    # Its boots send what they took down also where nothing fails.
    record: bool = False
    # A larger payload takes one of the server's slots while it is downloaded, where they are bounded; an install always does.
    large_mib: int = 256

    @property
    def artifacts(self) -> tuple[ArtifactRef, ...]:
        image = (self.install.image.artifact, self.install.image.block_map) if self.install else ()
        return tuple(ref for ref in (self.kernel, *self.initrds, self.dtb, *self.dtb_overlays, *image) if ref)

    @property
    def templates(self) -> tuple[Template, ...]:
        """Every one that is rendered for a board."""
        files = tuple(file.source for file in self.files if isinstance(file.source, Template))
        return files + (self.install.templates if self.install else ())


@dataclass(frozen=True)
class Condition:
    """One line of [match] or one --where: the fact it looks at and the patterns of which one must fit, or none if `negated`."""

    fact: str
    patterns: tuple[str, ...]
    negated: bool = False


@dataclass(frozen=True)
class Rule:
    """A selector that gives matching nodes a profile. Every condition must hold; none at all selects every node.

    `install` is the key of what a profile that writes a disk installs: another key is another install.
    `admit` lets in boards that nobody has approved: as many as `max_count` (0: any number) and until `until` (Unix seconds).
    """

    name: str
    priority: int
    profile: str
    admit: bool = False
    max_count: int = 0
    until: float | None = None
    conditions: tuple[Condition, ...] = ()
    install: str = ""

    @property
    def told(self) -> str:
        """What explanations call it. What no file says, a node's own profile or a rollout, has a name that says it all."""
        return f"rule {self.name} (priority {self.priority})" if self.priority <= MAX_RULE_PRIORITY else self.name


@dataclass(frozen=True)
class Loader:
    """A newer loader. `payload` is how it is booted, `build` what its agent reports; `selector` says which boards it is for."""

    payload: Profile
    build: str
    offer: Offer
    selector: Rule

    @property
    def name(self) -> str:
        return self.selector.name


@dataclass(frozen=True)
class Revision:
    """One numbered state of profiles, rules and loaders, templates inside. Number 0 is the empty state before any `apply`."""

    number: int = 0
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    loaders: tuple[Loader, ...] = ()

    def payloads(self) -> Mapping[str, Profile]:
        """Everything that a plan may boot, by the file that describes it."""
        profiles = {f"profiles/{name}.toml": profile for name, profile in self.profiles.items()}
        return profiles | {f"loaders/{loader.name}.toml": loader.payload for loader in self.loaders}
