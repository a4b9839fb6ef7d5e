"""Every error of a vendor or of the effects asks for one of four things, decided in one place."""

from __future__ import annotations

from collections import Counter

import pytest

from affiliate_empire.effects import QuotaRefused, WindowClosed
from affiliate_empire.effects.errors import EffectError
from affiliate_empire.kernel.errors import EmpireError, Misconfigured
from affiliate_empire.operations.errors import PieceRejected
from affiliate_empire.operations.remedies import Remedy, remedy_of
from affiliate_empire.vendors import blog, instagram, tiktok, youtube
from affiliate_empire.vendors.errors import VendorError


def family(kind: type[EmpireError]) -> set[type[EmpireError]]:
    """An error and every narrower one; what only a vendor's client knows is there once it is imported."""
    assert {instagram.ContainerNotPublishable, tiktok.UploadGone, youtube.UploadSessionGone, blog.Rejected}
    return {kind}.union(*(family(each) for each in kind.__subclasses__()))


def test_every_error_has_its_remedy_and_none_is_sent_again_that_must_not_be() -> None:
    said = {kind.__name__: remedy_of(kind.__new__(kind)) for kind in family(VendorError) | family(EffectError)}
    assert Counter(said.values()).keys() == set(Remedy)
    expected = {
        Remedy.RETRY: {"VendorUnavailable", "ReplyLost", "UploadGone", "EffectInProgress"},
        Remedy.WAIT: {"QuotaExhausted", "QuotaRefused", "BudgetRefused"},
        Remedy.PERSON: {
            "AccountRestricted",
            "CredentialsRejected",
            "Rejected",
            "EffectParked",
            "Paused",
            "FingerprintConflict",
        },
        Remedy.REJECT: {"VendorRefused", "ContentRefused", "EffectRefused", "WindowClosed", "UploadSessionGone"},
    }
    for remedy, names in expected.items():
        assert {name: said[name] for name in names} == dict.fromkeys(names, remedy)


@pytest.mark.parametrize(
    ("error", "remedy"),
    [(PieceRejected("p"), Remedy.REJECT), (Misconfigured("no key"), Remedy.PERSON), (EmpireError("?"), Remedy.PERSON)],
)
def test_what_is_neither(error: EmpireError, remedy: Remedy) -> None:
    assert remedy_of(error) is remedy
    assert issubclass(QuotaRefused, EffectError)
    assert issubclass(WindowClosed, EffectError)
