"""What the installer makes of a root file system for one board: its name, network, people, first boot. No I/O here."""

import re
from dataclasses import dataclass
from enum import StrEnum

from bootpilot_agent.fields import FieldError, Fields, Json, check_text

# One label or several (RFC 1123, 2.1); 64 is Linux's HOST_NAME_MAX.
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
HOSTNAME_PATTERN = rf"(?=.{{1,64}}$){_LABEL}(\.{_LABEL})*"
# As Debian's adduser takes them.
USER_PATTERN = r"[a-z_][a-z0-9_-]{0,31}"
# A hash as crypt(5) has them, "!" for no password; never a password itself.
PASSWORD_PATTERN = r"!|\$[!-9;-~]{8,255}"
SSH_KEY_PATTERN = r"(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/=]{32,2048}( [^\x00-\x1f\x7f]{0,256})?"
MAX_SCRIPT = 64 << 10
MAX_USERS = 32


class Addressing(StrEnum):
    """How the installed system gets its address: by DHCP with the client-id that the loader used, or the one written here."""

    DHCP = "dhcp"
    STATIC = "static"


@dataclass(frozen=True)
class UserOrder:
    """One account. `password` is a crypt(5) hash, or "!" for none; `sudo` puts it into the group sudo. root is one, too."""

    name: str
    password: str = "!"
    ssh_keys: tuple[str, ...] = ()
    sudo: bool = False

    def to_json(self) -> dict[str, Json]:
        return {"name": self.name, "password": self.password, "ssh_keys": list(self.ssh_keys), "sudo": self.sudo}

    @classmethod
    def from_fields(cls, fields: Fields) -> "UserOrder":
        keys = fields.texts("ssh_keys", longest=4096)
        for index, key in enumerate(keys):
            check_text(f"{fields.name_of('ssh_keys')}[{index}]", key, pattern=SSH_KEY_PATTERN, expected="a public key")
        # Not shown in the error: a password in clear is the likeliest mistake.
        password = fields.text("password")
        if not re.fullmatch(PASSWORD_PATTERN, password):
            raise FieldError(fields.name_of("password"), 'a hash as `openssl passwd -6` prints it, or "!"', "(not shown)")
        return cls(
            name=fields.text("name", pattern=USER_PATTERN, expected="a user's name in lower case"),
            password=password,
            ssh_keys=keys,
            sudo=fields.flag("sudo"),
        )


@dataclass(frozen=True)
class SystemOrder:
    """How the system differs from its image. What is "" or () stays as the image has it.

    `console` is a kernel's console= value ("" for the one that the loader has); `kernel_arguments` follow root= on its command
    line. `first_boot` is a script that runs once, `user_data` cloud-init's (NoCloud). `report`: install the unit that tells the
    server about boots which it did not plan.
    """

    hostname: str
    addressing: Addressing = Addressing.DHCP
    address: str = ""
    gateway: str = ""
    dns: tuple[str, ...] = ()
    users: tuple[UserOrder, ...] = ()
    console: str = ""
    kernel_arguments: str = ""
    first_boot: str = ""
    user_data: str = ""
    report: bool = True

    def to_json(self) -> dict[str, Json]:
        return {
            "hostname": self.hostname,
            "addressing": self.addressing,
            "address": self.address,
            "gateway": self.gateway,
            "dns": list(self.dns),
            "users": [user.to_json() for user in self.users],
            "console": self.console,
            "kernel_arguments": self.kernel_arguments,
            "first_boot": self.first_boot,
            "user_data": self.user_data,
            "report": self.report,
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> "SystemOrder":
        addressing = fields.choice("addressing", Addressing)
        address = fields.text("address", pattern=r"|[0-9a-fA-F.:]{2,45}/[0-9]{1,3}", expected="an address and /prefix")
        if (addressing is Addressing.STATIC) is not (address != ""):
            raise FieldError(fields.name_of("address"), "an address if addressing is static, and else none", address)
        return cls(
            hostname=fields.text("hostname", pattern=HOSTNAME_PATTERN, expected="letters, digits, dashes and dots"),
            addressing=addressing,
            address=address,
            gateway=fields.text("gateway", pattern=r"[0-9a-fA-F.:]{0,45}", expected="an address"),
            dns=fields.texts("dns", most=8, longest=45),
            users=tuple(UserOrder.from_fields(item) for item in fields.children("users", most=MAX_USERS)),
            console=fields.text("console", pattern=r"[A-Za-z0-9,]{0,64}", expected="such as ttyS0,115200"),
            kernel_arguments=fields.text("kernel_arguments", pattern=r"[ -~]{0,512}", expected="printable ASCII on one line"),
            first_boot=fields.text("first_boot", most=MAX_SCRIPT),
            user_data=fields.text("user_data", most=MAX_SCRIPT),
            report=fields.flag("report"),
        )
