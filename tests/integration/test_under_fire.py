"""A worker that dies at a line of the state machine, and the page that shows what came of every fault."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from benchmarks.exactly_once import DOCS, Record, judge
from tests.factories.battlefield import FAULTS, Battlefield
from tests.factories.under_fire import Job

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

KINDS = ("youtube", "fal", "openai_text")
_STRIDE = 37  # the benchmark sweeps all of them


@pytest.fixture(scope="module")
def field() -> Iterator[Battlefield]:
    field = Battlefield(11, kinds=KINDS)
    field.calibrate(KINDS)
    yield field
    field.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_that_dies_at_a_line_leaves_one_post_and_one_charge(field: Battlefield, kind: str) -> None:
    records = []
    for line in range(1, field.lines[kind]["machine"], _STRIDE):
        record = Record(field.add(kind, f"pc_{kind}_{line}"), kind)
        assert not field.kill_at(kind, record.piece, line).ended
        outcome = field.zygote.run(Job(kind, record.piece))
        record.standing = field.standing(kind, record.piece, outcome)
        records.append(record)
    judge(field, records)
    assert [(record.double, record.lost, record.double_charged) for record in records] == [(0, 0, 0)] * len(records)
    if kind != "fal":  # a job whose id was lost with its worker waits for its owner
        assert {record.standing for record in records} == {"done"}


def test_the_page_shows_every_fault() -> None:
    text = DOCS.read_text("utf-8")
    [table] = re.findall(r"<!-- begin exactly_once -->\n(.*?)<!-- end exactly_once -->", text, re.DOTALL)
    assert [fault for fault in FAULTS if f"| {fault} |" not in table] == []
