"""Thumbnails: the size and weight a platform takes, a headline that fits, errors that name the remedy."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from affiliate_empire.media.errors import BadMedia
from affiliate_empire.media.thumbnail import compose_thumbnail


def _picture(size: tuple[int, int] = (400, 600), *, noise: bool = False) -> bytes:
    pixels = np.full((size[1], size[0], 3), 120, np.uint8)
    if noise:
        pixels = np.random.default_rng(1).integers(0, 256, pixels.shape).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _decoded(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "JPEG"
        return np.asarray(image.convert("RGB")).astype(int)


@pytest.mark.parametrize("size", [(1080, 1920), (1280, 720)])
@pytest.mark.parametrize("headline", ["Ten years", "W" * 40, "A lamp that folds flat, reaches far and lasts " * 4])
def test_the_headline_stays_inside_the_picture(size: tuple[int, int], headline: str) -> None:
    pixels = _decoded(compose_thumbnail(_picture(), headline, size=size))
    assert pixels.shape == (size[1], size[0], 3)
    white = (pixels.min(2) > 225) | ((pixels[..., 0] > 225) & (pixels[..., 1] > 180) & (pixels[..., 2] < 110))
    rows, columns = np.nonzero(white)
    assert len(rows) > 50
    assert columns.min() >= size[0] * 0.06
    assert columns.max() <= size[0] * 0.94
    assert rows.max() <= size[1] * 0.97


def test_the_disclosure_is_drawn_when_given() -> None:
    plain, labelled = (
        _decoded(compose_thumbnail(_picture(), "Ten years", disclosure=label)) for label in (None, "#ad · AI-generated")
    )
    changed = np.nonzero(np.abs(plain - labelled).max(2) > 60)
    assert len(changed[0]) > 1000
    assert changed[0].max() < 1920 * 0.12


def test_a_picture_full_of_noise_still_weighs_less_than_the_limit() -> None:
    assert len(compose_thumbnail(_picture((1080, 1920), noise=True), "Ten years")) <= 2_000_000


@pytest.mark.parametrize(("picture", "headline"), [(b"<html>", "Ten years"), (b"", "Ten years"), (_picture(), " 😀 ")])
def test_what_cannot_be_drawn_is_named(picture: bytes, headline: str) -> None:
    with pytest.raises(BadMedia, match="again"):
        compose_thumbnail(picture, headline)
