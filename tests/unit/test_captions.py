"""Captions: words from timings, pages inside the safe area, ASS that shows text and never obeys it."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affiliate_empire.media import captions
from affiliate_empire.media.captions import Page, Word
from affiliate_empire.media.errors import BadMedia

_DIALOGUE = re.compile(r"Dialogue: (\d+),(\d+):(\d\d):(\d\d\.\d\d),(\d+):(\d\d):(\d\d\.\d\d),(\w+),,0,0,0,,(.*)")
_LABEL = "#ad · AI-generated"


def _words(text: str, seconds_each: float = 0.3) -> list[Word]:
    return [
        Word(word, index * seconds_each, (index + 1) * seconds_each - 0.02) for index, word in enumerate(text.split())
    ]


def _timings(text: str) -> tuple[list[str], list[float], list[float]]:
    return list(text), [0.1 * index for index in range(len(text))], [0.1 * (index + 1) for index in range(len(text))]


def _events(document: str, style: str) -> list[tuple[float, float, str]]:
    found = []
    for line in document.splitlines():
        if match := _DIALOGUE.fullmatch(line):
            _, h1, m1, s1, h2, m2, s2, name, text = match.groups()
            if name == style:
                start = int(h1) * 3600 + int(m1) * 60 + float(s1)
                found.append((start, int(h2) * 3600 + int(m2) * 60 + float(s2), text))
    return found


def _shown(ass: str) -> str:
    """The text that libass shows for an event, tags taken out."""
    plain = re.sub(r"(?<!\\)\{[^}]*?(?<!\\)\}", "", ass)
    return plain.replace("\\{", "{").replace("\\}", "}").replace("\u2060", "")


def test_words_have_the_times_of_their_first_and_last_character() -> None:
    words = captions.words_from_alignment(*_timings("Ten  years,\nright?"))
    assert [word.text for word in words] == ["Ten", "years,", "right?"]
    assert words[1].start == pytest.approx(0.5)
    assert words[1].end == pytest.approx(1.1)


@pytest.mark.parametrize(
    ("characters", "starts", "ends"),
    [
        (["a", "b"], [0.0], [0.1, 0.2]),
        (["a", "b"], [0.5, 0.2], [0.6, 0.7]),
        (["a"], [0.5], [0.4]),
        ([" ", "\n"], [0.0, 0.1], [0.1, 0.2]),
        (["😀"], [0.0], [0.1]),
        ([], [], []),
    ],
)
def test_timings_that_cannot_be_used_are_refused(characters: list[str], starts: list[float], ends: list[float]) -> None:
    with pytest.raises(BadMedia, match="voice-over again"):
        captions.words_from_alignment(characters, starts, ends)


def test_emoji_leave_no_box_and_signs_stay() -> None:
    words = captions.words_from_alignment(*_timings("Great 👩\u200d💻 deal✨ 21°C Acme™"))
    assert [word.text for word in words] == ["Great", "deal", "21°C", "Acme™"]


@given(st.text())
def test_what_was_spoken_can_neither_open_a_tag_nor_break_a_line(text: str) -> None:
    escaped = captions.escape(text)
    assert "\n" not in escaped
    assert "\r" not in escaped
    # Every brace is escaped, and no backslash stands before a letter it could command.
    assert not re.search(r"(?<!\\)[{}]", escaped)
    assert not re.search(r"\\[^{}\u2060]", escaped)


@pytest.mark.parametrize("text", [r"{\p1}m 0 0", r"a\Nb", r"{\pos(0,0)}", "}{", r"\h\n", r"end\\"])
def test_injected_commands_are_shown_as_text(text: str) -> None:
    document = captions.document(captions.pages(_words(text)), _LABEL, 2.0)
    shown = [_shown(event) for _, _, event in _events(document, "Caption")]
    assert any(text.split()[0] in line for line in shown)


def test_lines_stay_inside_the_safe_area() -> None:
    room = captions.SAFE_RIGHT - captions.SAFE_LEFT
    text = (
        "Incomprehensibilities notwithstanding, the extraordinarily well-engineered lamp outlasts WWWWWWWWWWWWWWWWWWWW."
    )
    for page in captions.pages(_words(text)):
        assert 1 <= len(page.lines) <= captions.LINES
        for line in page.lines:
            assert captions.text_width(" ".join(word.text for word in line), page.size) <= room


def test_a_word_longer_than_the_line_is_shrunk() -> None:
    page, *others = captions.pages(_words("M" * 60))
    assert not others
    assert page.size < captions.CAPTION_SIZE / 3
    assert captions.text_width("M" * 60, page.size) <= captions.SAFE_RIGHT - captions.SAFE_LEFT
    assert f"\\fs{page.size:.2f}" in captions.document([page], _LABEL, 1.0)


def test_a_page_ends_with_its_sentence_and_at_a_pause() -> None:
    words = [Word("Yes.", 0, 0.3), Word("It", 0.4, 0.5), Word("folds", 0.5, 0.8), Word("flat", 2.0, 2.3)]
    pages = captions.pages(words)
    assert [[word.text for line in page.lines for word in line] for page in pages] == [
        ["Yes."],
        ["It", "folds"],
        ["flat"],
    ]
    assert pages[0].end == pages[1].start  # follows at once: no flicker
    assert pages[1].end < 2.0  # a pause: the screen clears


def test_two_lines_are_broken_where_they_come_out_alike() -> None:
    page = captions.pages(_words("The arm has three joints now"))[0]
    widths = [captions.text_width(" ".join(word.text for word in line), page.size) for line in page.lines]
    assert len(widths) == 2
    assert min(widths) > 0.6 * max(widths)


@given(
    st.lists(
        st.tuples(st.text("abcdefgW.?!,", min_size=1, max_size=14), st.floats(0.01, 0.9), st.floats(0, 0.9)),
        min_size=1,
        max_size=30,
    )
)
def test_every_word_is_shown_once_in_order_and_pages_never_overlap(raw: list[tuple[str, float, float]]) -> None:
    words, at = [], 0.0
    for text, length, gap in raw:
        words.append(Word(text, at, at + length))
        at += length + gap
    pages = captions.pages(words)
    assert [word for page in pages for line in page.lines for word in line] == words
    for page, following in pairwise(pages):
        assert page.start <= page.end <= following.start
    for page in pages:
        assert page.start == page.lines[0][0].start
        assert page.end >= page.lines[-1][-1].start


def test_exactly_the_spoken_word_is_highlighted() -> None:
    words = _words("The arm has three joints")
    document = captions.document(captions.pages(words), _LABEL, 3.0)
    for word in words:
        middle = (word.start + word.end) / 2
        lit = [
            found
            for start, end, text in _events(document, "Caption")
            if start <= middle < end
            for found in re.findall(r"\\1c&H1FD9FF&\}(.*?)\{", text)
        ]
        assert lit == [word.text]


def test_the_label_spans_the_whole_video_inside_the_safe_area() -> None:
    document = captions.document(captions.pages(_words("Short.")), _LABEL, 26.4)
    (plate,), (label,) = _events(document, "Plate"), _events(document, "Label")
    assert plate[:2] == label[:2] == (0.0, 27.4)
    assert _shown(label[2]) == _LABEL
    left, top, right, bottom = captions.label_box(_LABEL)
    assert captions.SAFE_LEFT <= left < right <= captions.SAFE_RIGHT
    assert captions.SAFE_TOP <= top < bottom < captions.caption_band()[0]
    assert captions.caption_band()[1] <= captions.SAFE_BOTTOM


def test_words_faster_than_a_frame_make_no_empty_events() -> None:
    page = Page(((Word("a", 0.0, 0.001), Word("b", 0.001, 0.3)),), 0.0, 0.5, captions.CAPTION_SIZE)
    for start, end, _ in _events(captions.document([page], _LABEL, 1.0), "Caption"):
        assert start < end
