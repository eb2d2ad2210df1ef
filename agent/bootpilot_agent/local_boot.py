"""The `local` part of a plan: start the system that is installed on the board's own disk. No I/O here.

Agents that cannot do this do not list the feature `local`, are never given such a plan, and refuse one by name.
"""

from dataclasses import dataclass
from enum import StrEnum

from bootpilot_agent.fields import FieldError, Fields, Json

# What names a partition, in the words of a kernel's root= and of fstab.
PARTITION_PATTERN = r"(PARTUUID|UUID|LABEL|PARTLABEL)=[!-~]{1,128}"


class Find(StrEnum):
    """How the system is found: by the mark of the plan's install id, as one named partition, or by looking through every disk
    but the card for what the field boots from.
    """

    MARK = "mark"
    PARTITION = "partition"
    LOOKING = "looking"


class Otherwise(StrEnum):
    """What the server does with a board whose disk does not boot."""

    WAIT = "wait"
    RESCUE = "rescue"
    REINSTALL = "reinstall"


@dataclass(frozen=True)
class LocalBoot:
    """`partition` is "" but for `Find.PARTITION`. Where nothing bootable is found, or the kernel will not load, the agent says
    `failed` and asks anew; after `failures` of these in a row the server does what `otherwise` says. `profile` is a name for
    people.
    """

    find: Find
    partition: str = ""
    profile: str = ""
    otherwise: Otherwise = Otherwise.WAIT
    failures: int = 3

    def to_json(self) -> dict[str, Json]:
        return {
            "find": self.find,
            "partition": self.partition,
            "profile": self.profile,
            "otherwise": self.otherwise,
            "failures": self.failures,
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> "LocalBoot":
        """Raises FieldError."""
        find = fields.choice("find", Find)
        partition = fields.text("partition", most=160)
        if find is Find.PARTITION:
            fields.text("partition", pattern=PARTITION_PATTERN, expected="PARTUUID=, UUID=, LABEL= or PARTLABEL= and a value")
        elif partition:
            raise FieldError(fields.name_of("partition"), f"nothing where find is {find}", partition)
        return cls(
            find=find,
            partition=partition,
            profile=fields.text("profile", most=128),
            otherwise=fields.choice("otherwise", Otherwise),
            failures=fields.number("failures", least=1, most=100),
        )
