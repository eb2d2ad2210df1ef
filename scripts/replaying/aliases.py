"""What stands for what: the recorded boot's ids, nonces and digests, and the replayed boot's. No I/O here.

All of them are texts that occur nowhere by chance, so they are exchanged as texts, wherever they stand: in a body, a URL, a
header, an error. A plan whose nonce was wrong when it was recorded stays wrong so.
"""

from collections.abc import Mapping

from bootpilot_agent.fields import Json


class Aliases:
    """Pairs of a recorded text and the one that stands for it in the replay. The latest pair of a text counts."""

    def __init__(self) -> None:
        self._forth: dict[str, str] = {}
        self._back: dict[str, str] = {}

    def pair(self, recorded: str, replayed: str) -> None:
        """From now on the one stands for the other."""
        if recorded and replayed and recorded != replayed:
            self._forth[recorded] = replayed
            self._back[replayed] = recorded

    def learn(self, recorded: str, replayed: str) -> None:
        """Pair them if neither stands for anything yet: where one was drawn anew and the other was not, that has to show."""
        if recorded not in self._forth and replayed not in self._back:
            self.pair(recorded, replayed)

    def forth(self, text: str) -> str:
        """A recorded text as the replay has to see it."""
        return _exchange(text, self._forth)

    def back(self, text: str) -> str:
        """A text of the replay as the recorded boot would have had it."""
        return _exchange(text, self._back)

    def forth_bytes(self, content: bytes) -> bytes:
        return self.forth(content.decode("latin-1")).encode("latin-1")

    def back_json(self, value: Json) -> Json:
        """Every text in a value, keys too."""
        if isinstance(value, str):
            return self.back(value)
        if isinstance(value, list):
            return [self.back_json(one) for one in value]
        if isinstance(value, dict):
            return {self.back(key): self.back_json(one) for key, one in value.items()}
        return value


def _exchange(text: str, pairs: Mapping[str, str]) -> str:
    # In two rounds: what one pair puts in must not be what another one takes out.
    places = {recorded: f"\0{number}\0" for number, recorded in enumerate(pairs)}
    for recorded, place in places.items():
        text = text.replace(recorded, place)
    for recorded, place in places.items():
        text = text.replace(place, pairs[recorded])
    return text
