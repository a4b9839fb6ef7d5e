"""Members that do one act together: in their order, once, and nobody waits for one that ended."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from affiliate_empire.operations.together import Together


def test_who_comes_alone_acts_alone() -> None:
    acts: list[list[int]] = []
    assert _doubling(acts).do(3) == 6
    assert acts == [[3]]


def test_all_who_are_expected_act_once_in_their_order() -> None:
    acts: list[list[int]] = []
    assert _work(_doubling(acts), range(8)) == {str(number): 2 * number for number in range(8)}
    assert acts == [list(range(8))]


def test_one_that_ends_without_coming_is_not_waited_for() -> None:
    acts: list[list[int]] = []
    outcomes = _work(_doubling(acts), range(5), ends={0, 2, 4})
    assert acts == [[1, 3]]
    assert [outcomes[name] for name in "024"] == ["ended"] * 3


def test_an_act_that_fails_fails_for_each_and_one_outcome_for_its_own() -> None:
    def act(items: Sequence[int]) -> list[int | Exception]:
        if 9 in items:
            raise OSError("down")
        return [ValueError("odd") if item % 2 else item for item in items]

    assert _work(Together(act), [0, 1, 2]) == {"0": 0, "1": "odd", "2": 2}
    assert _work(Together(act), [0, 9]) == {"0": "down", "9": "down"}


def test_those_who_come_back_meet_again() -> None:
    acts: list[list[int]] = []
    together = _doubling(acts)
    together.expect(["a", "b"])

    def member(name: str) -> int:
        with together.member(name):
            return together.do(together.do(1 if name == "a" else 2))

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(member, "ab", timeout=20)) == [4, 8]
    assert [sorted(act) for act in acts] == [[1, 2], [2, 4]]


def test_one_that_never_comes_holds_up_nobody_for_good() -> None:
    together = Together(lambda items: list(items), longest_wait=0.05)
    together.expect(["lost", "here"])
    with together.member("here"):
        assert together.do("me") == "me"


def _doubling(acts: list[list[int]]) -> Together[int, int]:
    def act(items: Sequence[int]) -> list[int | Exception]:
        acts.append(list(items))
        return [2 * item for item in items]

    return Together(act)


def _work(
    together: Together[int, int], numbers: Sequence[int], ends: Sequence[int] | set[int] = ()
) -> dict[str, object]:
    def member(number: int) -> int | str:
        with together.member(str(number)):
            if number in ends:
                return "ended"
            try:
                return together.do(number)
            except (ValueError, OSError) as error:
                return str(error)

    together.expect([str(number) for number in numbers])
    with ThreadPoolExecutor(len(numbers)) as pool:
        # Begun in the wrong order: their own is kept all the same.
        futures = {str(number): pool.submit(member, number) for number in reversed(numbers)}
        return {name: futures[name].result(timeout=20) for name in sorted(futures)}


@pytest.mark.parametrize("answers", [[], [1, 2, 3]])
def test_an_act_must_answer_each(answers: list[int]) -> None:
    together: Together[int, int] = Together(lambda items: answers)
    together.expect(["a"])
    with together.member("a"), pytest.raises(ValueError, match="answered"):
        together.do(1)
