"""What must never stand in a recording, by rule; and that everything else stays as it was."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootpilot_agent.card_settings import read_card
from bootpilot_agent.fields import ENROL_PATTERN, Json
from bootpilot_agent.plan import NONCE_PATTERN, SHA256_PATTERN, TOKEN_PATTERN
from bootpilot_agent.recorded_http import KEPT_BODIES, keeps_answer, keeps_body
from bootpilot_agent.recording_secrets import (
    ENROL_STAND_IN,
    MOST_LEARNT,
    SECRET_FIELDS,
    SECRET_HEADERS,
    SECRET_TEXTS,
    STAND_IN,
    Secrets,
)

TOKEN, NONCE, ENROL = "t0ken-c4n4ry-7731", "5e" * 32, "grid:c4n4ry-secret-0042"
DIGEST = "ab" * 32
PLAN: Json = {
    "token": TOKEN,
    "nonce": NONCE,
    "boot": {"files": [{"path": "/preseed.cfg", "url": f"/artifacts/sha256/{DIGEST}", "size": 9, "sha256": DIGEST}]},
}


def test_every_rule_has_its_reason() -> None:
    assert all(row.reason for row in (*SECRET_FIELDS, *SECRET_TEXTS, *KEPT_BODIES))
    assert all(SECRET_HEADERS.values())


def test_a_plan_keeps_its_form_and_loses_its_secrets() -> None:
    secrets = Secrets()
    plan = json.loads(secrets.clean_body(json.dumps(PLAN).encode()))
    assert plan["token"] == STAND_IN
    assert re.fullmatch(TOKEN_PATTERN, plan["token"])
    assert re.fullmatch(NONCE_PATTERN, plan["nonce"])
    assert plan["nonce"] != NONCE
    file = plan["boot"]["files"][0]
    assert (file["path"], file["size"]) == ("/preseed.cfg", 9)
    assert re.fullmatch(SHA256_PATTERN, file["sha256"])
    assert file["sha256"] not in (DIGEST, plan["nonce"])
    assert file["url"] == f"/artifacts/sha256/{file['sha256']}"


def test_a_question_and_its_plan_still_have_the_same_nonce_and_another_question_another() -> None:
    secrets = Secrets()
    bodies = [{"nonce": NONCE}, {"nonce": NONCE, "token": "x"}, {"nonce": "6f" * 32}]
    nonces = [json.loads(secrets.clean_body(json.dumps(body).encode()))["nonce"] for body in bodies]
    assert nonces[0] == nonces[1] != nonces[2]


@pytest.mark.parametrize("cut", range(20, 100, 7))
def test_a_plan_that_breaks_off_loses_its_token_too(cut: int) -> None:
    body = json.dumps({"padding": "x", "token": TOKEN, "nonce": NONCE}).encode()[:cut]
    cleaned = Secrets().clean_body(body)
    assert TOKEN.encode()[:4] not in cleaned
    assert NONCE.encode()[:8] not in cleaned


def test_a_value_that_was_seen_once_is_taken_out_of_everything_after() -> None:
    secrets = Secrets()
    secrets.clean_body(json.dumps(PLAN).encode())
    assert TOKEN not in secrets.clean_text(f"GET /x?token={TOKEN}")
    assert DIGEST not in secrets.clean_headers({"ETag": f'"{DIGEST}"'})["ETag"]
    assert TOKEN.encode() not in secrets.clean(b"\x00\xff" + TOKEN.encode())


def test_headers_that_carry_secrets_keep_their_names_only() -> None:
    given = {"Authorization": f"Bearer {TOKEN}", "Cookie": "a=b", "SET-COOKIE": "c", "Accept": "*/*"}
    assert Secrets().clean_headers(given) == {
        "Authorization": STAND_IN,
        "Cookie": STAND_IN,
        "SET-COOKIE": STAND_IN,
        "Accept": "*/*",
    }


CARDS = {
    "plain": f'server = "http://192.0.2.1"\nenrol = "{ENROL}"\nvlan = 7\n',
    "single quotes, no blanks": f"enrol='{ENROL}'\n",
    "quoted key": f'"enrol" = "{ENROL}"\n',
    "escaped key": f'"\\u0065nrol" = "{ENROL}"\n',
    "over lines": f'enrol = """\n{ENROL}"""\nvlan = 7\n',
    "over lines, broken": f"enrol = '''\n{ENROL}\n",
    "commented out": f'# enrol = "{ENROL}"\n',
    "no equals sign": f"enrol {ENROL}\n",
    "broken elsewhere": f'= = =\nENROL : "{ENROL}"\n',
    "escaped value": 'enrol = "grid:\\u00634n4ry-secret-0042"\n',
}


@pytest.mark.parametrize("name", CARDS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_secret_of_a_card_is_left_out_however_it_is_written(name: str, encoding: str) -> None:
    raw = CARDS[name].encode(encoding)
    cleaned = Secrets().clean_file("run/bootpilot/card/bootpilot.txt", raw)
    for form in (ENROL, ENROL.partition(":")[2], "4n4ry-secret-0042"):
        assert form.encode() not in cleaned
        assert form.encode("utf-16-le") not in cleaned
        assert form.encode("utf-16-be") not in cleaned


def test_a_card_without_its_secret_says_the_rest_as_before() -> None:
    cleaned = read_card(Secrets().clean_card(CARDS["plain"].encode()))
    assert cleaned.values == {"server": "http://192.0.2.1", "enrol": ENROL_STAND_IN, "vlan": 7}
    assert re.fullmatch(ENROL_PATTERN, ENROL_STAND_IN)
    wide = read_card(Secrets().clean_card(CARDS["plain"].encode("utf-16")))
    assert wide.values == cleaned.values
    untouched = b"\xef\xbb\xbfserver = 'http://192.0.2.1'\r\n"
    assert Secrets().clean_card(untouched) == untouched


def test_a_secret_that_the_card_had_is_not_in_the_complaint_about_it_either() -> None:
    secrets = Secrets()
    secrets.clean_card(CARDS["plain"].encode())
    assert ENROL.partition(":")[2] not in secrets.clean_text(f"enrol: expected something else, got {ENROL.partition(':')[2]}")


def test_the_note_of_an_earlier_loader_loses_its_token() -> None:
    cleaned = Secrets().clean_file(
        "bootpilot/boot.json", f'{{\n"version": 1,\n"token": "{TOKEN}",\n"vlan": null\n}}\n'.encode()
    )
    assert json.loads(cleaned) == {"version": 1, "token": STAND_IN, "vlan": None}


def test_private_keys_and_passwords_in_urls_are_found_by_their_form() -> None:
    secrets = Secrets()
    key = b"-----BEGIN EC PRIVATE KEY-----\nMHcCAQ\n-----END EC PRIVATE KEY-----\nrest"
    assert b"MHcCAQ" not in secrets.clean(key)
    assert secrets.clean(key).endswith(b"rest")
    assert b"MHcCAQ" not in secrets.clean(key[:40])
    assert (
        secrets.clean_text("bootpilot.server=http://eve:pa55@192.0.2.1/ x@y")
        == "bootpilot.server=http://REDACTED@192.0.2.1/ x@y"
    )
    certificate = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    assert secrets.clean(certificate) == certificate


def test_a_board_that_asks_for_months_remembers_no_more_than_it_must() -> None:
    secrets = Secrets()
    secrets.learn(ENROL, ENROL_STAND_IN)
    for number in range(MOST_LEARNT + 100):
        secrets.clean_body(json.dumps({"nonce": f"{number + 1:064d}", "enrol": ENROL}).encode())
    assert ENROL not in secrets.clean_text(ENROL)
    assert len(secrets._known) == MOST_LEARNT


@pytest.mark.parametrize(
    ("method", "url", "kept"),
    [
        ("GET", "http://192.0.2.1:8080/v1/", True),
        ("POST", "https://boot.example/below/v1/boot", True),
        ("POST", "http://192.0.2.1/v1/boots/x/events", True),
        ("POST", "http://192.0.2.1/v1/boots/x/log?source=agent&offset=0", False),
        ("PUT", "http://192.0.2.1/v1/boots/x/recording", False),
        ("GET", "http://192.0.2.1/v1/boots/x/files/preseed.cfg", False),
        ("GET", "http://192.0.2.1/v1/boots/x/files/a/v1/boot", False),
        ("GET", "http://192.0.2.1/artifacts/sha256/ab?/v1/", False),
        ("GET", "http://192.0.2.1/preseed.cfg", False),
    ],
)
def test_only_the_protocol_is_kept_word_for_word(method: str, url: str, kept: bool) -> None:
    assert keeps_body(method, url) is kept
    assert bool(keeps_answer(method, url, 200, {})) is kept


def test_what_a_server_says_of_an_error_is_kept() -> None:
    problem = {"content-type": "application/problem+json; charset=utf-8"}
    assert keeps_answer("GET", "http://192.0.2.1/artifacts/x", 404, problem)
    assert not keeps_answer("GET", "http://192.0.2.1/artifacts/x", 404, {"content-type": "text/html"})
    assert not keeps_answer("GET", "http://192.0.2.1/artifacts/x", 200, problem)


@given(st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=12), max_size=5))
def test_a_body_without_secrets_stays_as_it_is(body: dict[str, Json]) -> None:
    raw = json.dumps({key: value for key, value in body.items() if key not in ("token", "nonce", "enrol")}).encode()
    if b"://" not in raw and b"PRIVATE KEY" not in raw:
        assert Secrets().clean_body(raw) == raw


@given(st.binary(max_size=200))
def test_any_bytes_can_be_cleaned(raw: bytes) -> None:
    secrets = Secrets()
    for path in ("proc/x", "bootpilot.txt", "bootpilot/boot.json"):
        secrets.clean_file(path, raw)
        secrets.clean_body(raw)
