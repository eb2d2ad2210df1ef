"""People of the new system: lines of passwd, shadow, group and gshadow. No I/O here.

Edited as text and not by useradd, which would have to run in the new system, of whatever make and processor it is. Formats:
passwd(5), shadow(5), group(5), gshadow(5).
"""

from dataclasses import dataclass

from bootpilot_agent.install_system import UserOrder
from bootpilot_install.errors import SetupError

FIRST_UID, LAST_UID = 1000, 59999
SHELLS = ("bin/bash", "bin/sh")
# Debian's, Fedora's: the first that the image has.
SUDO_GROUPS = ("sudo", "wheel")
# What decides on a password that never changed: a day that is past, so that nobody has to change it (shadow(5)).
CHANGED_DAYS = 19000


@dataclass(frozen=True)
class Home:
    """Where a person's files go."""

    path: str
    uid: int
    gid: int


@dataclass
class AccountFiles:
    """The four texts. What is not there stays away, but for passwd and group."""

    passwd: str
    group: str
    shadow: str = ""
    gshadow: str = ""

    def add(self, user: UserOrder, shell: str) -> Home:
        """The account, new or as it was but for the password. Raises SetupError where no number is free."""
        row = next((line.split(":") for line in self.passwd.splitlines() if line.split(":")[0] == user.name), None)
        if row is None or len(row) < 7:
            row = self._new(user, shell)
        self._set_password(user)
        if user.sudo and user.name != "root":
            self._join(self._sudo_group(), user.name)
        return Home(row[5].lstrip("/") or "root", _number(row[2]), _number(row[3]))

    def _new(self, user: UserOrder, shell: str) -> list[str]:
        number = self._free_number()
        row = [user.name, "x", str(number), str(number), "", f"/home/{user.name}", f"/{shell}"]
        self.passwd = _with_line(self.passwd, ":".join(row))
        if not _has(self.group, user.name):
            self.group = _with_line(self.group, f"{user.name}:x:{number}:")
            if self.gshadow:
                self.gshadow = _with_line(self.gshadow, f"{user.name}:!::")
        return row

    def _free_number(self) -> int:
        taken = {line.split(":")[2] for text in (self.passwd, self.group) for line in text.splitlines() if line.count(":") >= 2}
        for number in range(FIRST_UID, LAST_UID + 1):
            if str(number) not in taken:
                return number
        raise SetupError("no user number from 1000 on is free in the image")

    def _set_password(self, user: UserOrder) -> None:
        """Where the image has no shadow file, passwd itself would hold the hash for everybody to read: so one is made."""
        shown = f"{user.name}:{user.password}:{CHANGED_DAYS}:0:99999:7:::"
        lines = [line for line in self.shadow.splitlines() if line.split(":")[0] != user.name]
        self.shadow = "\n".join([*lines, shown, ""])
        rows = [line.split(":") for line in self.passwd.splitlines()]
        self.passwd = "".join(":".join([row[0], "x", *row[2:]] if row[0] == user.name else row) + "\n" for row in rows)

    def _sudo_group(self) -> str:
        found = next((name for name in SUDO_GROUPS if _has(self.group, name)), "")
        if not found:
            found = SUDO_GROUPS[0]
            self.group = _with_line(self.group, f"{found}:x:{self._free_number()}:")
        return found

    def _join(self, group: str, name: str) -> None:
        self.group = _with_member(self.group, group, name)
        self.gshadow = _with_member(self.gshadow, group, name)


def _has(text: str, name: str) -> bool:
    return any(line.split(":")[0] == name for line in text.splitlines())


def _with_line(text: str, line: str) -> str:
    return (text.rstrip("\n") + "\n" if text.strip() else "") + line + "\n"


def _with_member(text: str, group: str, name: str) -> str:
    lines = []
    for line in text.splitlines():
        row = line.split(":")
        if row[0] == group and len(row) == 4 and name not in row[3].split(","):
            row[3] = ",".join(filter(None, [row[3], name]))
        lines.append(":".join(row))
    return "".join(f"{line}\n" for line in lines)


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise SetupError(f"the image's passwd has {text[:20]!a} where a number belongs")
    return int(text)
