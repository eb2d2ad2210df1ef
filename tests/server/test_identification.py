"""Graded evidence: who is taken for whom, and when nobody is."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from bootpilot_agent.evidence import Evidence, EvidenceKind, Grade
from bootpilot_server.deciding.identification import Conflict, KnownNode, Match, Unknown, match_node
from tests.fakes.reports import piece

KIND = EvidenceKind
A, B = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"

pieces = st.builds(
    piece, st.sampled_from(list(KIND)), st.sampled_from(["10000000abcdef01", "10000000abcdef02", "00:48:54:20:33:01", "000000"])
)
evidences = st.lists(pieces, max_size=5)


def node(node_id: str, *evidence: Evidence) -> KnownNode:
    return KnownNode(node_id, frozenset(evidence))


def test_the_same_serial_number_is_the_same_board() -> None:
    assert match_node([piece(KIND.DT_SERIAL, "s1")], [node(A, piece(KIND.DT_SERIAL, "s1"))]) == Match(
        A, Grade.STRONG, "same dt-serial s1"
    )


def test_nobody_known_and_nothing_in_common_are_both_a_new_board() -> None:
    assert match_node([piece(KIND.DT_SERIAL, "s1")], []) == Unknown()
    assert match_node([piece(KIND.DT_SERIAL, "s1")], [node(A, piece(KIND.DT_SERIAL, "s2"))]) == Unknown()


def test_a_card_moved_to_another_board_does_not_take_the_name_along() -> None:
    first = node(A, piece(KIND.DT_SERIAL, "s1"), piece(KIND.CARD_CID, "cid-a"))
    second = node(B, piece(KIND.DT_SERIAL, "s2"), piece(KIND.CARD_CID, "cid-b"))
    found = match_node([piece(KIND.DT_SERIAL, "s1"), piece(KIND.CARD_CID, "cid-b")], [first, second])
    assert isinstance(found, Match)
    assert found.node_id == A


def test_a_network_adapter_moved_to_a_board_of_another_kind_makes_a_new_node() -> None:
    pc = node(A, piece(KIND.DMI_UUID, "u1"), piece(KIND.MAC, "00:48:54:20:33:01"))
    assert match_node([piece(KIND.DT_SERIAL, "s1"), piece(KIND.MAC, "00:48:54:20:33:01")], [pc]) == Unknown()


def test_a_cloned_mac_address_does_not_join_boards_with_serial_numbers() -> None:
    known = node(A, piece(KIND.DT_SERIAL, "s1"), piece(KIND.MAC, "00:48:54:20:33:01"))
    assert match_node([piece(KIND.DT_SERIAL, "s2"), piece(KIND.MAC, "00:48:54:20:33:01")], [known]) == Unknown()


def test_a_board_known_by_its_mac_address_may_show_a_serial_number_later() -> None:
    known = node(A, piece(KIND.MAC, "00:48:54:20:33:01"))
    found = match_node([piece(KIND.DT_SERIAL, "s1"), piece(KIND.MAC, "00:48:54:20:33:01")], [known])
    assert found == Match(A, Grade.MEDIUM, "same mac 00:48:54:20:33:01")


def test_one_of_two_network_adapters_replaced_is_still_the_same_board() -> None:
    known = node(A, piece(KIND.MAC, "00:48:54:20:33:01"), piece(KIND.MAC, "00:48:54:20:33:02"))
    found = match_node([piece(KIND.MAC, "00:48:54:20:33:02"), piece(KIND.MAC, "00:48:54:20:33:03")], [known])
    assert isinstance(found, Match)


def test_two_nodes_named_equally_well_are_a_conflict() -> None:
    twins = [node(A, piece(KIND.MAC, "00:48:54:20:33:01")), node(B, piece(KIND.MAC, "00:48:54:20:33:01"))]
    found = match_node([piece(KIND.MAC, "00:48:54:20:33:01")], twins)
    assert isinstance(found, Conflict)
    assert found.node_ids == (A, B)


def test_one_strong_piece_for_and_one_against_is_a_conflict() -> None:
    known = node(A, piece(KIND.DT_SERIAL, "s1"), piece(KIND.SOC_SERIAL, "soc1"))
    found = match_node([piece(KIND.DT_SERIAL, "s1"), piece(KIND.SOC_SERIAL, "soc2")], [known])
    assert isinstance(found, Conflict)
    assert "soc-serial (soc2 instead of soc1)" in found.because


def test_strong_agreement_wins_over_another_nodes_medium_agreement() -> None:
    strong, medium = node(A, piece(KIND.DT_SERIAL, "s1")), node(B, piece(KIND.MAC, "00:48:54:20:33:01"))
    found = match_node([piece(KIND.DT_SERIAL, "s1"), piece(KIND.MAC, "00:48:54:20:33:01")], [medium, strong])
    assert isinstance(found, Match)
    assert found.node_id == A


@given(evidences, st.lists(evidences, max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_evidence_and_of_nodes_changes_nothing(
    shown: list[Evidence], known: list[list[Evidence]], chance: Random
) -> None:
    nodes = [node(f"node-{index}", *evidence) for index, evidence in enumerate(known)]
    expected = match_node(shown, nodes)
    chance.shuffle(shown)
    chance.shuffle(nodes)
    assert match_node(shown, nodes) == expected


@given(st.lists(st.sampled_from(["", "0000", "To be filled by O.E.M.", "ffffffff", "none", "QM00001"]), min_size=1, max_size=4))
def test_placeholders_never_join_two_boards(values: list[str]) -> None:
    evidence = [piece(kind, value) for value in values for kind in KIND]
    assert match_node(evidence, [node(A, *evidence)]) == Unknown()


@given(evidences, evidences)
def test_a_match_always_rests_on_a_shared_piece_that_counts(shown: list[Evidence], known: list[Evidence]) -> None:
    found = match_node(shown, [node(A, *known)])
    shared = {(one.kind, one.value) for one in shown if one.grade} & {(one.kind, one.value) for one in known if one.grade}
    assert isinstance(found, Unknown) or shared


def test_a_part_that_another_board_shows_today_is_that_boards() -> None:
    dongle = piece(KIND.MAC, "00:48:54:20:33:0d")
    former = KnownNode(A, frozenset({piece(KIND.MAC, "00:48:54:20:33:01")}), frozenset({dongle}))
    found = match_node([dongle, piece(KIND.MAC, "00:48:54:20:33:02")], [former, node(B, piece(KIND.MAC, "00:48:54:20:33:02"))])
    assert isinstance(found, Match)
    assert found.node_id == B
    assert match_node([dongle], [former]) == Match(A, Grade.MEDIUM, "same mac 00:48:54:20:33:0d")


def test_a_serial_number_that_was_shown_once_still_tells_another_board_apart() -> None:
    mac = piece(KIND.MAC, "00:48:54:20:33:01")
    known = KnownNode(A, frozenset({mac}), frozenset({piece(KIND.DT_SERIAL, "s1x")}))
    assert match_node([piece(KIND.DT_SERIAL, "s2x"), mac], [known]) == Unknown()


known_nodes = st.lists(st.tuples(evidences, evidences, st.booleans()), max_size=4).map(
    lambda found: [
        KnownNode(f"node-{number}", frozenset(today), frozenset(former), approved)
        for number, (today, former, approved) in enumerate(found)
    ]
)


@given(evidences, known_nodes, st.randoms(use_true_random=False))
def test_neither_order_nor_repetition_changes_who_a_board_is(
    shown: list[Evidence], known: list[KnownNode], chance: Random
) -> None:
    expected = match_node(shown, known)
    chance.shuffle(shown)
    assert match_node([*shown, *shown], chance.sample(known, len(known))) == expected


@given(evidences, known_nodes)
def test_agreement_below_never_outvotes_disagreement_above(shown: list[Evidence], known: list[KnownNode]) -> None:
    found = match_node(shown, known)
    if not isinstance(found, Match):
        return
    ever = next(one.evidence | one.former for one in known if one.node_id == found.node_id)
    level = min(max(piece.grade for piece in shown), max(piece.grade for piece in ever))
    assert found.grade is level
    for kind in KIND:
        mine = {piece.value for piece in shown if piece.kind is kind and piece.grade >= level}
        theirs = {piece.value for piece in ever if piece.kind is kind and piece.grade >= level}
        assert not (mine and theirs) or mine & theirs


@given(evidences, evidences, st.booleans())
def test_two_nodes_known_alike_are_never_told_apart(shown: list[Evidence], same: list[Evidence], approved: bool) -> None:
    twins = [KnownNode(node_id, frozenset(same), approved=approved) for node_id in (A, B)]
    assert not isinstance(match_node(shown, twins), Match)


@given(evidences, known_nodes)
def test_who_contradicts_is_never_the_one(shown: list[Evidence], known: list[KnownNode]) -> None:
    found = match_node(shown, known)
    alone = match_node(shown, [one for one in known if isinstance(found, Match) and one.node_id == found.node_id])
    assert not isinstance(found, Match) or isinstance(alone, Match)


@given(
    st.lists(st.sampled_from(["", "0000", "none", "ffff"]), max_size=3),
    st.lists(st.from_regex(r"02:[0-9a-f]{2}", fullmatch=True)),
)
def test_placeholders_and_random_addresses_add_nothing_to_any_answer(values: list[str], random: list[str]) -> None:
    noise = [piece(kind, value) for value in values for kind in KIND] + [piece(KIND.RANDOM_MAC, value) for value in random]
    known = [node(A, piece(KIND.DT_SERIAL, "s1x"), *noise), node(B, *noise)]
    assert match_node(noise, known) == Unknown()
    assert match_node([piece(KIND.DT_SERIAL, "s1x"), *noise], known) == match_node([piece(KIND.DT_SERIAL, "s1x")], known)
