"""The tables of HOME/state.sqlite. No I/O here; `upgrade.py` makes them.

Times ending in _at are Unix seconds by the server's clock. No token is stored anywhere; nonces are stored and never shown.
"""

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, LargeBinary, MetaData, String, Table, Text

# The newest of migrations/versions/. Every change of a table here goes into that revision too, or into a new one.
REVISION = "disks"

metadata = MetaData()


def _boot_key(*, primary_key: bool = False) -> Column[str]:
    return Column("boot_id", Text, ForeignKey("boots.id", ondelete="CASCADE"), primary_key=primary_key, nullable=False)


# Alembic's own table, which holds one row: the revision of all others.
alembic_version = Table("alembic_version", metadata, Column("version_num", String(32), primary_key=True))

# What the server knows of itself: `server_id`, by which a database is known to be the same one after a restore.
about = Table("about", metadata, Column("key", Text, primary_key=True), Column("value", Text, nullable=False))

nodes = Table(
    "nodes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("created_at", Float, nullable=False),
    Column("last_seen_at", Float, nullable=False),
    Column("simulated", Boolean, nullable=False),
    # Not "" for a record that stands for a contradiction: it is shown to a person and never matched.
    Column("conflict", Text, nullable=False, default=""),
    Column("approved_at", Float),
    Column("address", Text, nullable=False, default=""),
    # The last report as JSON, without its nonce; model and serial are drawn out of it for lists.
    Column("report", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("serial", Text, nullable=False),
    Column("current_boot", Text),
    # Boots in a row that failed or fell silent, the current one not counted.
    Column("failures", Integer, nullable=False, default=0),
    # What an operator says of it: a name, unique unless "", labels as JSON, an address, a profile of its own before all rules.
    Column("name", Text, nullable=False, default="", server_default=""),
    Column("labels", Text, nullable=False, default="{}", server_default="{}"),
    Column("static_address", Text, nullable=False, default="", server_default=""),
    Column("profile_override", Text, nullable=False, default="", server_default=""),
    # How it was approved (see deciding/approval.py), by whom, and the grade of the evidence that it was approved with.
    Column("approval", Text, nullable=False, default="", server_default=""),
    Column("approved_by", Text, nullable=False, default="", server_default=""),
    Column("approved_grade", Integer, nullable=False, default=0, server_default="0"),
    # The batch whose secret it has shown, "" if none.
    Column("batch", Text, nullable=False, default="", server_default=""),
    # Why it is on hold, "" if it is not; when it was retired, and when it was taken over from the mark on its disk.
    Column("hold", Text, nullable=False, default="", server_default=""),
    Column("retired_at", Float),
    Column("adopted_at", Float),
    # The install that was wanted last, and what a person ordered until further notice: "local" or "rescue:PROFILE".
    Column("wanted_install", Text, nullable=False, default="", server_default=""),
    Column("standing", Text, nullable=False, default="", server_default=""),
    # The nodes between which a contradiction stands, as JSON.
    Column("conflict_with", Text, nullable=False, default="[]", server_default="[]"),
    Index("nodes_last_seen", "last_seen_at"),
    Index("nodes_approved", "approved_at"),
    Index("nodes_approval", "approval"),
    Index("nodes_name", "name"),
    Index("nodes_conflict", "conflict"),
)

# Every install that was ever wanted on a node, and how far it got: deciding/installs.py says what follows from it.
installs = Table(
    "installs",
    metadata,
    Column("node_id", Text, ForeignKey("nodes.id", ondelete="CASCADE"), primary_key=True),
    Column("install_id", Text, primary_key=True),
    # "order", "rule:KEY", "auto:<former id>" or "adopted".
    Column("origin", Text, nullable=False),
    Column("profile", Text, nullable=False),
    Column("wanted_at", Float, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("takes", Integer, nullable=False, default=0),
    Column("local_failures", Integer, nullable=False, default=0),
    Column("done_at", Float),
    Column("last_failure", Text, nullable=False, default=""),
    Column("by", Text, nullable=False, default=""),
)

# Reboot and power off: each is given to one question and then spent.
orders = Table(
    "orders",
    metadata,
    Column("id", Text, primary_key=True),
    Column("node_id", Text, ForeignKey("nodes.id", ondelete="CASCADE"), nullable=False),
    Column("action", Text, nullable=False),
    Column("ordered_at", Float, nullable=False),
    Column("by", Text, nullable=False),
    Column("spent_at", Float),
    Column("spent_boot", Text),
    Index("orders_of_node", "node_id", "spent_at"),
)

evidence = Table(
    "evidence",
    metadata,
    Column("node_id", Text, ForeignKey("nodes.id", ondelete="CASCADE"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("grade", Integer, nullable=False),
    Column("source", Text, nullable=False),
    Column("first_seen_at", Float, nullable=False),
    Column("last_seen_at", Float, nullable=False),
    # The boots that showed it first and last, "" where that is not known; and since when the node reports without it.
    Column("first_boot", Text, nullable=False, default="", server_default=""),
    Column("last_boot", Text, nullable=False, default="", server_default=""),
    Column("left_at", Float),
    Index("evidence_value", "kind", "value"),
)

# What a node showed once: pieces that came back are in `evidence` again, those that an operator took away are only here.
evidence_history = Table(
    "evidence_history",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("node_id", Text, ForeignKey("nodes.id", ondelete="CASCADE"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("first_seen_at", Float, nullable=False),
    Column("last_seen_at", Float, nullable=False),
    Column("first_boot", Text, nullable=False),
    Column("last_boot", Text, nullable=False),
    Column("left_at", Float, nullable=False),
    Column("why", Text, nullable=False),
    Index("evidence_history_of_node", "node_id", "id"),
)

# By what a node is known that was announced and has not reported yet. `kind` is a column of the list: serial, mac or card.
expected_evidence = Table(
    "expected_evidence",
    metadata,
    Column("node_id", Text, ForeignKey("nodes.id", ondelete="CASCADE"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Index("expected_evidence_value", "kind", "value"),
)

# Evidence that several boards share, as an operator found out: it counts for nobody.
shared_evidence = Table(
    "shared_evidence",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("since", Float, nullable=False),
    Column("by", Text, nullable=False),
)

# Ids of records that were merged into another one: people's notes and marks on disks still say them.
former_ids = Table(
    "former_ids",
    metadata,
    Column("id", Text, primary_key=True),
    Column("node_id", Text, ForeignKey("nodes.id", ondelete="CASCADE"), nullable=False),
    Column("since", Float, nullable=False),
    Index("former_ids_of_node", "node_id"),
)

# Enrolment by a secret on the cards. Only a digest of it is kept.
batches = Table(
    "batches",
    metadata,
    Column("name", Text, primary_key=True),
    Column("secret_sha256", Text, nullable=False),
    Column("max_count", Integer, nullable=False),
    Column("until", Float, nullable=False),
    Column("profile", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("closed_at", Float),
)

# Secrets that fitted no batch, by digest: so that guessing is seen, and slowed down.
wrong_enrolments = Table(
    "wrong_enrolments",
    metadata,
    Column("address", Text, primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("batch", Text, nullable=False),
    Column("times", Integer, nullable=False),
    Column("first_at", Float, nullable=False),
    Column("last_at", Float, nullable=False),
)

boots = Table(
    "boots",
    metadata,
    Column("id", Text, primary_key=True),
    Column("node_id", Text, ForeignKey("nodes.id", ondelete="CASCADE"), nullable=False),
    Column("first_nonce", Text, nullable=False),
    Column("started_at", Float, nullable=False),
    Column("planned_at", Float, nullable=False),
    Column("agent_version", Text, nullable=False),
    Column("build_id", Text, nullable=False),
    # The last decision.
    Column("plan", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("profile", Text, nullable=False),
    Column("expects", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    # What the events amount to: the one that counts as latest, and the moments that start or end a deadline.
    Column("event_rank", Integer, nullable=False, default=-1),
    Column("event", Text, nullable=False, default=""),
    Column("event_data", Text, nullable=False, default="{}"),
    Column("handover_at", Float),
    Column("alive_at", Float),
    Column("failed_at", Float),
    Column("failure", Text, nullable=False, default=""),
    Column("done_at", Float),
    Column("install_id", Text),
    # The build of the loader that the last plan starts, "" for any other payload; and the loaders since power-on, as JSON.
    Column("loader", Text, nullable=False, default="", server_default=""),
    Column("loader_builds", Text, nullable=False, default="[]", server_default="[]"),
    # The node for which its token was made, "" if that is the node of today: a boot keeps its token when its node is merged.
    Column("token_node", Text, nullable=False, default="", server_default=""),
    # Until when it holds one of the server's slots at the latest; since when it waits for one, and by when it is to ask again.
    Column("slot_until", Float),
    # In which queue: "" for none, "server", or "rollout:NAME".
    Column("queue", Text, nullable=False, default="", server_default=""),
    Column("queued_at", Float),
    Column("queued_until", Float),
    # The rollout whose profile its last plan gives, "" for none.
    Column("rollout", Text, nullable=False, default="", server_default=""),
    # What its last plan installs, "" if nothing; and when its system came up where no server had told the board to start it.
    Column("installs", Text, nullable=False, default="", server_default=""),
    Column("booted_at", Float),
    Index("boots_of_node", "node_id", "started_at"),
    Index("boots_slot", "slot_until"),
    Index("boots_queue", "queue", "queued_at", "queued_until", "node_id"),
)

# What became of newer loaders on a node: failures and offers in a row.
loader_tries = Table(
    "loader_tries",
    metadata,
    Column("node_id", Text, ForeignKey("nodes.id", ondelete="CASCADE"), primary_key=True),
    Column("build", Text, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("offers", Integer, nullable=False),
    Column("last_failure", Text, nullable=False),
)

questions = Table(
    "questions",
    metadata,
    _boot_key(primary_key=True),
    Column("nonce", Text, primary_key=True),
    Column("body_sha256", Text, nullable=False),
    Column("asked_at", Float, nullable=False),
    Column("valid_s", Integer, nullable=False),
    # The plan's exact bytes but for the token, which is put back when it is rendered.
    Column("plan", Text, nullable=False),
)

events = Table(
    "events",
    metadata,
    _boot_key(primary_key=True),
    Column("source", Text, primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("at_ms", Integer, nullable=False),
    Column("data", Text, nullable=False),
    Column("received_at", Float, nullable=False),
)

# The server's own entries about a node: what a person would ask for later.
history = Table(
    "history",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("node_id", Text, ForeignKey("nodes.id", ondelete="CASCADE"), nullable=False),
    Column("boot_id", Text),
    Column("at", Float, nullable=False),
    Column("text", Text, nullable=False),
    Index("history_of_node", "node_id", "id"),
)

log_chunks = Table(
    "log_chunks",
    metadata,
    _boot_key(primary_key=True),
    Column("source", Text, primary_key=True),
    Column("offset", Integer, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)

recordings = Table(
    "recordings",
    metadata,
    _boot_key(primary_key=True),
    Column("data", LargeBinary, nullable=False),
    Column("received_at", Float, nullable=False),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("added_at", Float, nullable=False),
)

revisions = Table(
    "revisions",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("applied_at", Float, nullable=False),
    # {path: text} of the whole folder, as it was checked.
    Column("texts", Text, nullable=False),
    # Who put it in force, and what it is besides a folder's content: "rollback to 3".
    Column("applied_by", Text, nullable=False, default="", server_default=""),
    Column("note", Text, nullable=False, default="", server_default=""),
)

rollouts = Table(
    "rollouts",
    metadata,
    Column("name", Text, primary_key=True),
    # --where texts, and the sizes of the waves (0: all the rest), as JSON.
    Column("selector", Text, nullable=False),
    Column("waves", Text, nullable=False),
    Column("profile", Text, nullable=False),
    Column("max_concurrent", Integer, nullable=False),
    # "3%" or "3".
    Column("stop_at", Text, nullable=False),
    Column("soak_s", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("wave", Integer, nullable=False),
    # How many nodes the selector meant when it was made.
    Column("total", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("checked_at", Float, nullable=False),
)

# The nodes that a rollout has reached. They stay when a node is forgotten: its place in the wave is used up.
rollout_tickets = Table(
    "rollout_tickets",
    metadata,
    Column("rollout", Text, ForeignKey("rollouts.name", ondelete="CASCADE"), primary_key=True),
    Column("node_id", Text, primary_key=True),
    Column("wave", Integer, nullable=False),
    Column("taken_at", Float, nullable=False),
    # The boot that was given the profile last, and until when at the latest it counts as one of those under way.
    Column("boot_id", Text, nullable=False),
    Column("busy_until", Float),
    # Of what was heard, the last counts: well_at or failed_at is set, or neither yet.
    Column("well_at", Float),
    Column("failed_at", Float),
    Column("why", Text, nullable=False, default=""),
    # The profile that rules gave it before.
    Column("former", Text, nullable=False),
    Index("rollout_tickets_of_node", "node_id"),
    Index("rollout_tickets_wave", "rollout", "wave"),
    Index("rollout_tickets_failed", "rollout", "failed_at"),
    Index("rollout_tickets_busy", "rollout", "busy_until"),
)

rollout_history = Table(
    "rollout_history",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("rollout", Text, ForeignKey("rollouts.name", ondelete="CASCADE"), nullable=False),
    Column("at", Float, nullable=False),
    # "" for the server itself.
    Column("by", Text, nullable=False),
    Column("text", Text, nullable=False),
    Index("rollout_history_of", "rollout", "id"),
)

# Reports that could not be accepted, so that a board which is refused is not invisible. Bounded, oldest out first.
refusals = Table(
    "refusals",
    metadata,
    Column("address", Text, primary_key=True),
    Column("detail", Text, primary_key=True),
    Column("times", Integer, nullable=False),
    Column("first_at", Float, nullable=False),
    Column("last_at", Float, nullable=False),
)
