"""Settings: what is refused and how it is said, what is never shown, and how caps become micros."""

from __future__ import annotations

import logging
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from affiliate_empire.cli.main import main
from affiliate_empire.effects import Caps
from affiliate_empire.kernel.clock import BusinessCalendar
from affiliate_empire.kernel.errors import Misconfigured
from affiliate_empire.policy import load_policy
from affiliate_empire.settings import Settings, load_settings

SECRET = "marked-secret"


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("variable", "value", "rule"),
    [
        ("EMPIRE_SEED", SECRET, "must be a valid integer"),
        ("EMPIRE_MODE", SECRET, "must be 'sandbox', 'live-readonly' or 'live'"),
        ("EMPIRE_TIMEZONE", f"America/{SECRET}", "must be a zone of the IANA database"),
        ("EMPIRE_TIMEZONE", f"/{SECRET}", "must be a zone of the IANA database"),
        ("EMPIRE_TIMEZONE", "America", "must be a zone of the IANA database"),
        ("EMPIRE_TIMEZONE", "", "must be a zone of the IANA database"),
        ("EMPIRE_FIRST_DAY", SECRET, "must be a valid date"),
        ("EMPIRE_BUDGET_DAY_USD", SECRET, "must be a valid decimal"),
        ("EMPIRE_BUDGET_DAY_USD", "NaN", "must be a finite number"),
        ("EMPIRE_BUDGET_RUN_USD", "-1", "must be greater than or equal to 0"),
        ("EMPIRE_BUDGET_VENDOR_DAY_USD", SECRET, "must be a JSON map of dollars by name"),
        ("EMPIRE_BUDGET_VENDOR_DAY_USD", "[5]", "must be a JSON map of dollars by name"),
        ("EMPIRE_BUDGET_VENDOR_DAY_USD", '{"openai": -1}', "must be greater than or equal to 0"),
        ("EMPIRE_BUDGET_VENDOR_DAY_USD", '{"openai": "NaN"}', "must be a finite number"),
        (
            "EMPIRE_BUDGET_VENDOR_DAY_USD",
            '{"open-ai": 5}',
            "must be a map of vendors that are paid: anthropic, elevenlabs, fal, openai, runway",
        ),
        ("EMPIRE_BUDGET_NICHE_DAY_USD", '{"Home & Garden": 5}', "must be a map of niches as the plan spells them"),
    ],
)
def test_a_setting_that_cannot_be_used_is_one_sentence(
    variable: str, value: str, rule: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, value)
    said = _said_by(["stop"], monkeypatch, capsys)
    assert said.startswith(f"{variable} must be ")
    assert rule in said
    assert said.endswith(": correct it in the environment or in .env.\n")
    assert said.count("\n") == 1
    assert SECRET not in said


def test_several_wrong_settings_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".env").write_text("EMPIRE_SEED=one\nEMPIRE_TRACK_PORT=two\n")
    said = _said_by(["stop"], monkeypatch, capsys)
    assert "EMPIRE_TRACK_PORT must be" in said
    assert "; " in said
    assert "EMPIRE_SEED must be" in said
    assert said.endswith(": correct them in the environment or in .env.\n")
    assert said.count("\n") == 1


def test_a_defect_of_ours_is_not_taken_for_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    class Receipt(BaseModel):
        seed: int

    def broken() -> None:
        Receipt.model_validate({})

    monkeypatch.setattr(sys.modules[main.__module__], "app", broken)
    with pytest.raises(ValidationError):
        main()


def test_what_may_carry_a_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        if name.endswith("_postback_token"):
            monkeypatch.setenv(f"EMPIRE_{name.upper()}", f"{SECRET}{'0' * 24}")
        elif name.endswith(("_key", "_secret", "_token", "_sid", "_client_id", "_remote", "product_feed")):
            monkeypatch.setenv(f"EMPIRE_{name.upper()}", f"https://user:{SECRET}@host/")
    monkeypatch.setenv("DATABASE_URL", f"postgresql://user:{SECRET}@host/empire")
    settings = Settings()
    assert SECRET in str(settings.product_feed)
    assert SECRET not in f"{settings!r} {settings}"


def test_a_wrong_setting_does_not_show_its_value_in_a_traceback_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMPIRE_SEED", SECRET)
    with pytest.raises(ValidationError) as problem:
        Settings()
    assert SECRET not in str(problem.value)


def test_a_timetable_that_cannot_be_is_one_sentence_with_the_arithmetic(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EMPIRE_SPACING_YOUTUBE", "150")
    said = _said_by(["stop"], monkeypatch, capsys)
    assert said.startswith("EMPIRE_LIMIT_YOUTUBE and EMPIRE_SPACING_YOUTUBE cannot be: ")
    assert "10 × 2.5 h = 25 h does not fit in 24 h" in said
    assert said.count("\n") == 1
    monkeypatch.setenv("EMPIRE_LIMIT_YOUTUBE", "9")
    assert Settings().policy.posting("youtube").limit == 9


def test_caps_are_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMPIRE_BUDGET_DAY_USD", "1234567890.123457")
    settings = Settings()
    assert settings.budget_day_usd == Decimal("1234567890.123457")
    assert settings.caps == Caps(1_234_567_890_123_457, 412_000_000, 14_000_000)


def test_caps_of_vendors_and_niches_are_maps_and_days_begin_in_the_business_timezone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EMPIRE_BUDGET_VENDOR_DAY_USD", '{"openai": 2.10, "fal": "4"}')
    monkeypatch.setenv("EMPIRE_BUDGET_NICHE_DAY_USD", '{"home-and-garden": 0.1}')
    monkeypatch.setenv("EMPIRE_TIMEZONE", "Europe/Berlin")
    caps = Settings().caps
    assert (caps.vendor_day_micros, caps.niche_day_micros) == (
        {"openai": 2_100_000, "fal": 4_000_000},
        {"home-and-garden": 100_000},
    )
    assert caps.calendar == BusinessCalendar("Europe/Berlin")


def test_the_default_caps_are_the_original_plans() -> None:
    plan, caps = load_policy().original_plan, Settings().caps
    assert (caps.day_micros, caps.month_micros) == (plan.day_micros, plan.month_micros)
    assert sum(line.month_micros for line in plan.lines) == plan.month_micros
    assert round(plan.month_micros / plan.pieces_a_month, -4) == plan.piece_micros


def _said_by(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr(sys, "argv", ["empire", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


def test_a_live_platform_without_a_credential_is_closed_and_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().closed_platforms() == {}
    monkeypatch.setenv("EMPIRE_MODE", "live")
    monkeypatch.setenv("EMPIRE_INSTAGRAM_USER_ID", "1784")
    closed = Settings().closed_platforms()
    assert closed["instagram"] == "EMPIRE_INSTAGRAM_ACCESS_TOKEN not set"
    assert set(closed) == {"youtube", "tiktok", "instagram", "blog"}
    connected = Settings().closed_platforms({"youtube", "instagram"})
    assert connected["youtube"] == "EMPIRE_YOUTUBE_CLIENT_ID, EMPIRE_YOUTUBE_CLIENT_SECRET not set"
    assert set(connected) == {"youtube", "tiktok", "blog"}


@pytest.mark.parametrize(
    "address",
    ["http://host.example.com/marked-secret", "https:///marked-secret", "https://[marked-secret/x", "/marked-secret"],
)
def test_a_deploy_hook_that_others_could_read_is_refused_unseen(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("EMPIRE_BLOG_DEPLOY_HOOK", address)
    with pytest.raises(Misconfigured, match="EMPIRE_BLOG_DEPLOY_HOOK must be the https address") as refusal:
        load_settings()
    assert "marked-secret" not in str(refusal.value)


@pytest.mark.parametrize("address", ["https://host.example.com/marked-secret", "http://127.0.0.1:1/marked-secret", ""])
def test_a_deploy_hook_is_kept_as_a_secret(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("EMPIRE_BLOG_DEPLOY_HOOK", address)
    settings = load_settings()
    assert bool(settings.blog_deploy_hook) is bool(address)
    assert "marked-secret" not in repr(settings)


@pytest.mark.parametrize(
    "address", ["marked-secret", "json://", "smoke://marked-secret@host", "tgram://marked-secret/"]
)
def test_an_address_that_nobody_can_be_told_at_is_refused_unseen(
    address: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("EMPIRE_ALERT_URLS", f"json://127.0.0.1/marked-secret {address}")
    with pytest.raises(Misconfigured, match="number 2 of 2 cannot be read: correct it in the environment") as refusal:
        load_settings()
    assert str(refusal.value).startswith("EMPIRE_ALERT_URLS must be addresses")
    assert "marked-secret" not in f"{refusal.value} {caplog.text}"


@pytest.mark.parametrize("count", [0, 1, 2])
def test_addresses_for_alerts_are_kept_as_secrets(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMPIRE_ALERT_URLS", "  ".join(["ntfys://ntfy.sh/marked-secret"] * count))
    settings = load_settings()
    assert settings.alert_addresses == ("ntfys://ntfy.sh/marked-secret",) * count
    assert "marked-secret" not in repr(settings)


@pytest.mark.parametrize("where", ["environment", ".env"])
def test_a_misspelt_setting_is_refused_and_the_nearest_one_named(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if where == ".env":
        (tmp_path / ".env").write_text("EMPIRE_BUDGT_DAY_USD=5\n")
    else:
        monkeypatch.setenv("EMPIRE_BUDGT_DAY_USD", "5")
    said = _said_by(["stop"], monkeypatch, capsys)
    assert said.startswith("EMPIRE_BUDGT_DAY_USD is no setting; did you mean EMPIRE_BUDGET_DAY_USD?")


def test_an_env_file_of_another_encoding_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".env").write_bytes("EMPIRE_SEED=8".encode("utf-16"))
    assert _said_by(["stop"], monkeypatch, capsys) == ".env is not UTF-8 text: save it as UTF-8.\n"


@pytest.mark.parametrize("home", ["file", "file/in/it"])
def test_a_home_that_cannot_be_is_one_sentence(
    home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EMPIRE_HOME", str(tmp_path / home))
    said = _said_by(["effects"], monkeypatch, capsys)
    assert said.count("\n") == 1
    assert "EMPIRE_HOME" in said
