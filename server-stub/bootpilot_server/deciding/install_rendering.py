"""Turns a profile's [install] into the installer's order for one node, and checks it as the installer will. No I/O here."""

import json
import re
from collections.abc import Callable, Mapping

from bootpilot_agent.artifact import Artifact
from bootpilot_agent.fields import FieldError, Json
from bootpilot_agent.install_order import ORDER_PATH, ORDER_VERSION, Compression, InstallOrder
from bootpilot_server.deciding.decision import Catalogue
from bootpilot_server.deciding.recipes import ArtifactRef, ImageRecipe, InstallRecipe, OrderPart, Template
from bootpilot_server.deciding.rendering import RenderedFile, RenderError, render_text

ORDER_MODE = 0o600
# What a file's first bytes say, in the words of the order.
PACKED = {"": Compression.NONE, "gzip": Compression.GZIP, "xz": Compression.XZ, "zstd": Compression.ZSTD}
# Where a text is not known yet, or not to be shown, one that any board could have stands in while the rest is checked.
STAND_INS = {
    "hostname": "board",
    "address": "192.0.2.2/24",
    "gateway": "192.0.2.1",
    "dns": "192.0.2.1",
    "name": "somebody",
    "password": "!",
    "ssh_keys": "ssh-ed25519 " + "A" * 68,
}
# The order's names -> those of the profile.
PLACES = (("system.users", "user"), ("system.", ""), ("partitions", "partition"))

Change = Callable[[str, Template], str]


def render_order(recipe: InstallRecipe, context: Mapping[str, object], artifacts: Catalogue) -> RenderedFile:
    """One more file of the plan. Raises RenderError that names the place in [install], and SecretsWantedError."""
    image, used = image_json(recipe.image, artifacts), set[str]()

    def text(key: str, template: Template) -> str:
        rendered, is_secret = render_text(template, context, artifacts.secrets)
        if is_secret:
            used.add(template.name)
        return rendered

    def harmless(key: str, template: Template) -> str:
        return STAND_INS.get(key, "") if template.name in used else text(key, template)

    order = order_json(recipe, image, text)
    # A preview has no hash where one belongs, and is right all the same.
    checked = order_json(recipe, image, harmless) if artifacts.secrets.is_redacted else order
    content = _to_bytes(order)
    try:
        InstallOrder.from_json(_to_bytes(checked))
    except FieldError as error:
        told = "something else; a secret was in use, so it is not shown" if used else str(error).rpartition(", got ")[2]
        raise RenderError(f"{place_of(error.field)}: expected {error.expected}, got {told}") from None
    return RenderedFile(ORDER_PATH, ORDER_MODE, content, bool(used))


def order_json(recipe: InstallRecipe, image: Json, text: Change) -> dict[str, Json]:
    """The order with what `text` makes of each template, given the key that it stands under."""
    return {
        "version": ORDER_VERSION,
        "image": image,
        **{key: _part_json(key, part, text) for key, part in recipe.order.items()},
    }


def _part_json(key: str, part: OrderPart, text: Change) -> Json:
    if isinstance(part, Template):
        return text(key, part)
    if isinstance(part, Mapping):
        return {name: _part_json(name, value, text) for name, value in part.items()}
    return [_part_json(key, value, text) for value in part] if isinstance(part, tuple) else part


def image_json(image: ImageRecipe, artifacts: Catalogue) -> Json:
    """As it lies on this server. Raises RenderError for what is not there, or packed in a way that no installer unpacks."""
    packed = compression_of(image, artifacts)
    block_map = {"block_map": _artifact_json(image.block_map, artifacts)} if image.block_map else {}
    return {"kind": image.kind, "compression": packed, "artifact": _artifact_json(image.artifact, artifacts), **block_map}


def compression_of(image: ImageRecipe, artifacts: Catalogue) -> Compression:
    """Raises RenderError where file and profile contradict each other."""
    found = artifacts.stored.get(image.artifact.sha256)
    if found is None:
        raise RenderError(f"install.image: artifact {image.artifact.name or image.artifact.sha256} is not on the server")
    if found.packed not in PACKED:
        raise RenderError(f"install.image: is packed with {found.packed}; expected {', '.join(PACKED.values())}")
    told = PACKED[found.packed]
    if image.compression not in (None, told):
        raise RenderError(f"install.image.compression: says {image.compression}, and the file itself is {told}")
    return told


def _artifact_json(ref: ArtifactRef, artifacts: Catalogue) -> Json:
    found = artifacts.stored.get(ref.sha256)
    if found is None:
        raise RenderError(f"install.image: artifact {ref.name or ref.sha256} is not on the server")
    return Artifact(artifacts.urls(ref.sha256), found.size_bytes, ref.sha256, ref.unpacked_bytes).to_json()


def place_of(field: str) -> str:
    """`system.users[0].name` as the profile calls it: install.user[0].name."""
    for theirs, ours in PLACES:
        if field.startswith(theirs):
            return "install." + ours + field.removeprefix(theirs)
    return f"install.{field}"


def _to_bytes(order: Mapping[str, Json]) -> bytes:
    """The same bytes for the same facts: a question asked twice gets one digest."""
    text = json.dumps(order, indent=1, ensure_ascii=False) + "\n"
    # Half a character, which JSON can spell and UTF-8 cannot.
    return re.sub("[\ud800-\udfff]", "\ufffd", text).encode()
