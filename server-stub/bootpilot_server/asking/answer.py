"""POST /v1/boot: report in, plan out. The one place where a question becomes a decision that is remembered.

Everything between reading the report and storing the plan is one transaction, so two servers or two copies of one question
never decide twice.
"""

import hashlib
import io
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Row

from bootpilot_agent.evidence import Grade
from bootpilot_agent.plan import Action, Plan, Report
from bootpilot_server.asking.crowd import refuse_crowd
from bootpilot_server.asking.enrolment import enrol, with_admissions
from bootpilot_server.asking.life_cycle import remember_decision, settle_install, with_installs
from bootpilot_server.asking.recognition import recognise
from bootpilot_server.asking.secret_digests import with_secret_digests, without_secret_digests
from bootpilot_server.asking.token_check import is_alive, token_of
from bootpilot_server.asking.tokens import make_token, same_token
from bootpilot_server.asking.turns import remember_turn, settle_boot, with_turn
from bootpilot_server.deciding.approval import RULE
from bootpilot_server.deciding.boot_state import ended_badly
from bootpilot_server.deciding.decide import decide
from bootpilot_server.deciding.decision import Catalogue, Decision, LoaderTries, NodeFacts
from bootpilot_server.deciding.drafts import secret_file_name
from bootpilot_server.deciding.identification import known_by
from bootpilot_server.deciding.recipes import Revision
from bootpilot_server.deciding.records import BootRecord, NodeRecord
from bootpilot_server.deciding.rendering import RenderedFile
from bootpilot_server.deciding.secret_values import Secrets, SecretsWantedError
from bootpilot_server.errors import ProblemError
from bootpilot_server.server import Server
from bootpilot_server.store import boot_records, loader_records, node_records
from bootpilot_server.store.evidence_records import without_shared

log = logging.getLogger(__name__)

MAX_WHY = 50
MAX_WHY_CHARS = 1000


@dataclass(frozen=True)
class Question:
    """One POST: the exact body, the bearer token or "", where it came from, and when (Unix seconds)."""

    body: bytes
    token: str
    address: str
    now: float


class WithoutRecordError(Exception):
    """There are too many boards on record for this one, and its plan needs none."""

    def __init__(self, plan: Plan) -> None:
        super().__init__("a plan without a record")
        self.plan = plan


def answer(server: Server, question: Question) -> bytes:
    """The plan's bytes. Raises FieldError for a malformed report, ProblemError for a refused one, DatabaseUnavailableError."""
    report = Report.from_json(question.body)
    if report.simulated and not server.config.allow_simulated:
        raise ProblemError(403, "this report says it is simulated, and this server was not started with --allow-simulated")
    secrets = server.secrets.at_hand()
    while True:
        try:
            return _answer_on_record(server, report, question, secrets)
        except WithoutRecordError as told:
            return _to_bytes(told.plan)
        except SecretsWantedError as wanted:
            # Outside of the transaction: a command may take its time. Each turn of the loop knows more names.
            secrets = secrets.with_values(server.secrets.fetch(wanted.names))


def _answer_on_record(server: Server, report: Report, question: Question, secrets: Secrets) -> bytes:
    """One transaction. Raises what undoes it: WithoutRecordError for a board that gets its plan all the same, and
    SecretsWantedError for what must be fetched before it can be told.
    """
    with server.database.writing() as connection:
        boot = boot_records.find_boot(connection, report.boot_id)
        if boot:
            asked = boot_records.find_question(connection, report.boot_id, report.nonce)
            if asked:
                return _answer_again(server, boot, asked, question, is_over=report.booted != "")
            _check_token(server, connection, boot, question)
        report = without_shared(connection, report)
        node = recognise(connection, report, question.address, question.now)
        node = enrol(connection, node, report, question.address, question.now)
        # A contradiction that has just been resolved took its boots along.
        boot = boot_records.find_boot(connection, boot.id) if boot else None
        if boot and boot.node_id != node.id:
            raise ProblemError(409, "this boot_id belongs to another node; begin a new boot with a new boot_id")
        before = boot_records.find_boot(connection, node.current_boot) if node.current_boot else None
        chain = loader_records.chain_of(report, boot, before)
        if boot is None:
            node = _settle_before(connection, node, before, report, question.now)
        revision = server.revisions.in_force(connection)
        tries = loader_records.tries_of(connection, node.id)
        facts = with_installs(connection, facts_about(node, report, chain, tries), node, question.now)
        facts = with_admissions(connection, facts, revision)
        facts = with_turn(connection, facts, boot, before, server.config.max_concurrent, question.now)
        decision = decide_for(server, revision, facts, question.now, secrets)
        plan = replace(decision.plan, token=token_of(server, boot) if boot else _new_token(server, node, report))
        try:
            refuse_crowd(connection, node, decision, server.config, question.now)
        except ProblemError:
            # What is on its own disk, a board may have however full the records are: nothing needs to be remembered for it.
            if plan.action is Action.LOCAL:
                raise WithoutRecordError(plan) from None
            raise
        _store_files(server, report, before if boot is None else None, decision.files)
        if decision.admits:
            node_records.approve_node(connection, node.id, question.now, RULE + decision.rule)
        if decision.loader and (boot is None or boot.loader != decision.loader):
            loader_records.count_offer(connection, node.id, decision.loader)
        remember_decision(connection, node, boot, report.boot_id, decision, question.now)
        _remember(server, connection, revision, node, boot, report, question, replace(decision, plan=plan), chain)
        unrolled = replace(facts, rollout=None)
        former = lambda: decide_for(server, revision, unrolled, question.now, secrets.redacted()).profile  # noqa: E731
        remember_turn(connection, facts, boot, before, report.boot_id, decision, former, question.now)
    log.info("node %s: %s", node.id, decision.why[0])
    return _to_bytes(plan)


def _answer_again(
    server: Server, boot: BootRecord, asked: Row[tuple[object, ...]], question: Question, *, is_over: bool
) -> bytes:
    """The same question once more, because its answer was lost: the same bytes, and nothing changes. `is_over`: the boot is, so
    its plan is for nobody to carry out and never expires.
    """
    if asked.body_sha256 != hashlib.sha256(question.body).hexdigest():
        raise ProblemError(409, "this nonce was already used with another report; ask again with a new nonce")
    if not is_over and question.now > asked.asked_at + asked.valid_s:
        raise ProblemError(
            409, f"the plan for this nonce was valid for {asked.valid_s} s, which are over; ask with a new nonce"
        )
    plan = json.loads(asked.plan)
    with_secret_digests(server, boot.id, plan)
    return json.dumps({**plan, "token": token_of(server, boot)}).encode()


def _check_token(server: Server, connection: Connection, boot: BootRecord, question: Question) -> None:
    """A further question under a boot_id must prove that it comes from the board that asked first."""
    if not same_token(token_of(server, boot), question.token):
        raise ProblemError(409, "this boot_id is known and the question does not carry its token; begin a new boot")
    if not is_alive(connection, boot, question.now):
        raise ProblemError(409, "the token of this boot_id has ended; begin a new boot with a new boot_id")


def facts_about(node: NodeRecord, report: Report, chain: tuple[str, ...], tries: Mapping[str, LoaderTries]) -> NodeFacts:
    """What is known of a node as it asks: its record and report, the loaders since power-on, what became of newer ones."""
    return NodeFacts(
        node_id=node.id,
        report=report,
        approved=node.approved_at is not None,
        known_by=known_by(report.evidence),
        conflict=node.conflict,
        loader_builds=chain,
        loader_tries=tries,
        name=node.name,
        labels=node.read_labels(),
        static_address=node.static_address,
        hold=node.hold,
        retired=node.retired_at is not None,
        adopted=node.adopted_at is not None,
        standing=node.standing,
        profile_override=node.profile_override,
        approval=node.approval,
        approved_grade=Grade(node.approved_grade),
    )


def decide_for(server: Server, revision: Revision, facts: NodeFacts, now: float, secrets: Secrets) -> Decision:
    """What this revision gives this node, with what the server has and knows at the moment. Raises SecretsWantedError."""
    digests = {ref.sha256 for payload in revision.payloads().values() for ref in payload.artifacts}
    catalogue = Catalogue(server.artifacts.describe(digests), server.config.mirrors, secrets)
    return decide(facts, revision, catalogue, now)


def _store_files(server: Server, report: Report, before: BootRecord | None, files: Iterable[RenderedFile]) -> None:
    """Before the plan is answered, so that a plan never names a file that is not there. Those of the boot before go."""
    secret: dict[str, bytes] = {}
    for file in files:
        if file.secret:
            secret[secret_file_name(file, report.nonce)] = file.content
        elif not server.artifacts.has(hashlib.sha256(file.content).hexdigest()):
            server.artifacts.add(io.BytesIO(file.content))
    server.secret_files.store(report.boot_id, secret)
    if before:
        server.secret_files.drop(before.id)


def _remember(
    server: Server,
    connection: Connection,
    revision: Revision,
    node: NodeRecord,
    boot: BootRecord | None,
    report: Report,
    question: Question,
    decision: Decision,
    chain: tuple[str, ...],
) -> None:
    told = without_secret_digests(decision.plan.to_json())
    shown = {key: value for key, value in told.items() if key not in ("token", "nonce")}
    why = _kept(decision.why)
    values: dict[str, object] = {
        "node_id": node.id,
        "first_nonce": report.nonce,
        "planned_at": question.now,
        "agent_version": report.agent_version,
        "build_id": report.build_id,
        "plan": json.dumps(shown),
        "why": json.dumps(why),
        "rule": decision.rule,
        "profile": decision.profile,
        "expects": decision.expects.value,
        "revision": revision.number,
        "loader": decision.loader,
        "loader_builds": json.dumps(chain),
        "installs": decision.plan.install_id if decision.plan.action is Action.BOOT and decision.plan.install_id else "",
    }
    if report.booted:
        values |= dict.fromkeys(("handover_at", "alive_at", "booted_at"), question.now)
    boot_records.save_boot(connection, report.boot_id, values, question.now, server.config.keep.installs_per_node)
    body_sha256 = hashlib.sha256(question.body).hexdigest()
    plan = json.dumps({**told, "token": ""})
    boot_records.save_question(connection, report.boot_id, report.nonce, body_sha256, decision.plan.valid_s, plan, question.now)
    if boot is None:
        node_records.set_current_boot(connection, node.id, report.boot_id, 0 if report.booted else node.failures)
    if boot is None or boot.read_why()[:1] != why[:1]:
        node_records.add_history(connection, node.id, why[0], question.now, report.boot_id)


def _kept(why: Sequence[str]) -> list[str]:
    """What is stored of the reasons, for pages: a folder of 2000 rules would otherwise leave megabytes with every boot."""
    lines = [text if len(text) <= MAX_WHY_CHARS else text[:MAX_WHY_CHARS] + " …" for text in why[:MAX_WHY]]
    more = len(why) - len(lines)
    return [*lines, *([f"and {more} more rules; `bootpilot explain` lists all"] if more else [])]


def _settle_before(
    connection: Connection, node: NodeRecord, before: BootRecord | None, report: Report, now: float
) -> NodeRecord:
    """A node begins another boot: settle what became of the boot before. The node's record comes back with its failures."""
    if report.last_attempt:
        last = report.last_attempt
        text = f"{last.stage}: {last.message}" + (f" (hint: {last.hint})" if last.hint else "")
        earlier = boot_records.find_boot(connection, last.boot_id)
        if earlier and earlier.node_id == node.id:
            boot_records.fail_boot(connection, last.boot_id, text, now)
            before = boot_records.find_boot(connection, before.id) if before else None
        node_records.add_history(connection, node.id, f"an earlier boot failed out of reach: {text}", now)
    if before is None:
        return node
    settle_boot(connection, before, now, is_past=True)
    loader_records.settle(connection, node, before, report, now)
    after = boot_records.find_boot(connection, before.id) or before
    settle_install(connection, node, after, now)
    if not ended_badly(after, now):
        return node
    node_records.add_history(connection, node.id, "that boot did not end well", now, before.id)
    return replace(node, failures=node.failures + 1)


def _new_token(server: Server, node: NodeRecord, report: Report) -> str:
    return make_token(server.secret_key, node.id, report.boot_id, report.nonce)


def _to_bytes(plan: Plan) -> bytes:
    return json.dumps(plan.to_json()).encode()
