"""Bearer tokens of a boot: made anew whenever one is needed, never stored. No I/O here."""

import hashlib
import hmac

PURPOSE = "bootpilot token 1"


def make_token(key: bytes, node_id: str, boot_id: str, first_nonce: str) -> str:
    """HMAC-SHA256 over node, boot and the first nonce of the boot. Whoever reads the database cannot make one."""
    message = f"{PURPOSE}\0{node_id}\0{boot_id}\0{first_nonce}"
    return hmac.new(key, message.encode(), hashlib.sha256).hexdigest()


def same_token(expected: str, given: str) -> bool:
    """Compares in constant time; anything may be given."""
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace"))
