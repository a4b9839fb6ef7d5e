"""The frames of what was made: their columns, and what must hold of them."""

from __future__ import annotations

from typing import ClassVar

import pandera.pandas as pa
from pandera.typing.pandas import Series


class Artifacts(pa.DataFrameModel):
    """Files and documents that a step made. One row per piece and part."""

    piece_id: Series[str] = pa.Field(description="the piece")
    name: Series[str] = pa.Field(
        description="the part: a scene's number, its step before it where there are several; else empty"
    )
    prompt_version: Series[str] = pa.Field(description="prompt version that the piece was planned with")
    niche: Series[str] = pa.Field(description="niche of the piece")
    platform: Series[str] = pa.Field(description="platform the piece is for")
    media_type: Series[str] = pa.Field(nullable=True, description="IANA media type of the file")
    sha256: Series[str] = pa.Field(nullable=True, description="the file in the media store")
    content: Series[str] = pa.Field(description="what was made, as JSON")
    inputs_sha256: Series[str] = pa.Field(description="hash of everything it was made from")
    cost_micros: Series[int] = pa.Field(ge=0, description="what making it cost, in micros of a US dollar")

    class Config:
        strict = True
        coerce = True
        ordered = True
        unique: ClassVar[list[str]] = ["piece_id", "name"]


class Texts(Artifacts):
    """Scripts or posts. One row per piece."""

    title: Series[str] = pa.Field(str_length={"min_value": 1}, description="title")
    model: Series[str] = pa.Field(nullable=True, description="the model that wrote it; empty: not recorded")

    class Config:
        strict = True
        coerce = True
        ordered = True
        unique: ClassVar[list[str]] = ["piece_id"]
