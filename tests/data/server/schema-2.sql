-- The tables of schema version 2, as servers made them before Alembic came.
CREATE TABLE nodes (
	id TEXT NOT NULL,
	created_at FLOAT NOT NULL,
	last_seen_at FLOAT NOT NULL,
	simulated BOOLEAN NOT NULL,
	"conflict" TEXT NOT NULL,
	approved_at FLOAT,
	address TEXT NOT NULL,
	report TEXT NOT NULL,
	model TEXT NOT NULL,
	serial TEXT NOT NULL,
	current_boot TEXT,
	failures INTEGER NOT NULL,
	PRIMARY KEY (id)
);
CREATE INDEX nodes_last_seen ON nodes (last_seen_at);
CREATE INDEX nodes_approved ON nodes (approved_at);
CREATE TABLE artifacts (
	sha256 TEXT NOT NULL,
	name TEXT NOT NULL,
	added_at FLOAT NOT NULL,
	PRIMARY KEY (sha256)
);
CREATE TABLE revisions (
	number INTEGER NOT NULL,
	applied_at FLOAT NOT NULL,
	texts TEXT NOT NULL,
	PRIMARY KEY (number)
);
CREATE TABLE refusals (
	address TEXT NOT NULL,
	detail TEXT NOT NULL,
	times INTEGER NOT NULL,
	first_at FLOAT NOT NULL,
	last_at FLOAT NOT NULL,
	PRIMARY KEY (address, detail)
);
CREATE TABLE evidence (
	node_id TEXT NOT NULL,
	kind TEXT NOT NULL,
	value TEXT NOT NULL,
	grade INTEGER NOT NULL,
	source TEXT NOT NULL,
	first_seen_at FLOAT NOT NULL,
	last_seen_at FLOAT NOT NULL,
	PRIMARY KEY (node_id, kind, value),
	FOREIGN KEY(node_id) REFERENCES nodes (id) ON DELETE CASCADE
);
CREATE INDEX evidence_value ON evidence (kind, value);
CREATE TABLE boots (
	id TEXT NOT NULL,
	node_id TEXT NOT NULL,
	first_nonce TEXT NOT NULL,
	started_at FLOAT NOT NULL,
	planned_at FLOAT NOT NULL,
	agent_version TEXT NOT NULL,
	build_id TEXT NOT NULL,
	"plan" TEXT NOT NULL,
	why TEXT NOT NULL,
	rule TEXT NOT NULL,
	profile TEXT NOT NULL,
	expects TEXT NOT NULL,
	revision INTEGER NOT NULL,
	event_rank INTEGER NOT NULL,
	event TEXT NOT NULL,
	event_data TEXT NOT NULL,
	handover_at FLOAT,
	alive_at FLOAT,
	failed_at FLOAT,
	failure TEXT NOT NULL,
	done_at FLOAT,
	install_id TEXT,
	loader TEXT DEFAULT '' NOT NULL,
	loader_builds TEXT DEFAULT '[]' NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(node_id) REFERENCES nodes (id) ON DELETE CASCADE
);
CREATE INDEX boots_of_node ON boots (node_id, started_at);
CREATE TABLE loader_tries (
	node_id TEXT NOT NULL,
	build TEXT NOT NULL,
	failures INTEGER NOT NULL,
	offers INTEGER NOT NULL,
	last_failure TEXT NOT NULL,
	PRIMARY KEY (node_id, build),
	FOREIGN KEY(node_id) REFERENCES nodes (id) ON DELETE CASCADE
);
CREATE TABLE history (
	id INTEGER NOT NULL,
	node_id TEXT NOT NULL,
	boot_id TEXT,
	at FLOAT NOT NULL,
	text TEXT NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(node_id) REFERENCES nodes (id) ON DELETE CASCADE
);
CREATE INDEX history_of_node ON history (node_id, id);
CREATE TABLE questions (
	boot_id TEXT NOT NULL,
	nonce TEXT NOT NULL,
	body_sha256 TEXT NOT NULL,
	asked_at FLOAT NOT NULL,
	valid_s INTEGER NOT NULL,
	"plan" TEXT NOT NULL,
	PRIMARY KEY (boot_id, nonce),
	FOREIGN KEY(boot_id) REFERENCES boots (id) ON DELETE CASCADE
);
CREATE TABLE events (
	boot_id TEXT NOT NULL,
	source TEXT NOT NULL,
	seq INTEGER NOT NULL,
	name TEXT NOT NULL,
	at_ms INTEGER NOT NULL,
	data TEXT NOT NULL,
	received_at FLOAT NOT NULL,
	PRIMARY KEY (boot_id, source, seq),
	FOREIGN KEY(boot_id) REFERENCES boots (id) ON DELETE CASCADE
);
CREATE TABLE log_chunks (
	boot_id TEXT NOT NULL,
	source TEXT NOT NULL,
	"offset" INTEGER NOT NULL,
	data BLOB NOT NULL,
	PRIMARY KEY (boot_id, source, "offset"),
	FOREIGN KEY(boot_id) REFERENCES boots (id) ON DELETE CASCADE
);
CREATE TABLE recordings (
	boot_id TEXT NOT NULL,
	data BLOB NOT NULL,
	received_at FLOAT NOT NULL,
	PRIMARY KEY (boot_id),
	FOREIGN KEY(boot_id) REFERENCES boots (id) ON DELETE CASCADE
);
PRAGMA user_version = 2;
