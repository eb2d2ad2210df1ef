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
