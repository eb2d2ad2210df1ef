"""A profile that installs and a rule with an install key, as an operator writes them."""

from tests.fakes.site import profile

HEAD = """\
expects = "installed"
writes_disk = true
command_line = "quiet"
payload_up_deadline_s = 300
done_deadline_s = 3000
"""


def installer(head: str = "", *, local: str = "") -> str:
    """The text of profiles/lamp.toml; `head` stands among its top-level keys, `local` in its table [local]."""
    body = profile().partition("[kernel]")[2]
    return f"{HEAD}{head}\n[local]\n{local}\n[kernel]{body}"


INSTALLER = installer()


def install_rule(key: str, *, priority: int = 10, name: str = "lamp") -> str:
    return f'priority = {priority}\nprofile = "{name}"\ninstall = "{key}"\n[match]\narch = "arm64"\n'
