"""The world's image model: still pictures drawn from a prompt.

It reads from the prompt which thing to draw, in which colour, in which setting (podium, table, shelf, flat lay,
outdoors, close-up, bold backdrop), and draws it with light, shadow and grain; it never puts text into a picture. The
same prompt with the same generator gives the same pixels. Sizes and prices are ``servers.openai``'s concern.
"""

from __future__ import annotations

import colorsys
import io
import math
import random
import re
from typing import TYPE_CHECKING, Any

from affiliate_empire.sandbox.drawings import DRAWINGS, HUES, WORDS

if TYPE_CHECKING:
    from PIL.Image import Image

Colour = tuple[int, int, int]
_CHOICES = ("teal", "orange", "navy", "mustard", "red", "sage", "blue", "mauve", "copper", "beige")
_SETTINGS: tuple[tuple[str, str], ...] = (
    ("bold", r"\bhero\b"),
    ("closeup", r"close-?up|macro|detail"),
    ("flatlay", r"flat ?lay|from above|top-?down|overhead"),
    ("shelf", r"shelf|shelves|evening|lamp light"),
    ("outdoors", r"outdoors?|hills?|garden|stone|nature|mountain"),
    ("table", r"on a (?:\w+ )?table|window|kitchen counter|desk(?:top)? in"),
    ("bold", r"two-?colou?r|bold|floating|strong contrast"),
    ("podium", r"podium|studio|pedestal"),
)


def subject_of(prompt: str) -> str:
    """The name of the drawing for a prompt: the thing named last in the product's name, else anywhere."""
    lower = prompt.lower()
    about = re.search(r"(?:video about|illustration of|picture of|image of|photo of)\s+(.+?)(?:[.,;:]|$)", lower)
    for text in (about[1] if about else "", lower):
        # The head noun ends the name: "desk lamp with wireless charger" is a lamp.
        head = re.split(r"\s+(?:with|for|in|and|from)\s+|,|\(", text)[0] if text != lower else text
        found = [(match.end(), name) for name, words in WORDS for match in re.finditer(rf"\b(?:{words})\b", head)]
        if found:
            return max(found)[1] if text != lower else min(found)[1]
    return "parcel"


def setting_of(prompt: str) -> str:
    """Where the prompt puts its subject."""
    return next((name for name, words in _SETTINGS if re.search(words, prompt.lower())), "podium")


def paint(prompt: str, width: int, height: int, rng: random.Random, *, file_format: str = "jpeg") -> bytes:
    """Draw a prompt as a file of ``width`` × ``height`` pixels."""
    picture = _Scene(prompt, width, height, rng).render()
    out = io.BytesIO()
    if file_format == "png":
        picture.save(out, "PNG", compress_level=3)
    elif file_format == "webp":
        picture.save(out, "WEBP", quality=88)
    else:
        picture.save(out, "JPEG", quality=90)
    return out.getvalue()


class _Scene:
    """One picture in the making: backdrop, props, shadow, subject, finish."""

    def __init__(self, prompt: str, width: int, height: int, rng: random.Random) -> None:
        self.prompt, self.width, self.height, self.rng = prompt, width, height, rng
        named = re.findall(r"\b(" + "|".join(HUES) + r")\b", prompt.lower())
        self.hue, self.saturation, self.value = HUES[named[0] if named else rng.choice(_CHOICES)]
        # The backdrop stands off from the subject: across the colour circle or a step beside it.
        self.back_hue = (self.hue + rng.choice((0.5, 0.45, 0.55, 0.08, -0.08))) % 1.0
        self.setting = setting_of(prompt)
        drawing = DRAWINGS[subject_of(prompt)]
        # Where the thing touches the ground, as a fraction of its square.
        self.foot = max(y for form, role, *rest in drawing if role != "glow" for _, y in _points(form, rest, 0.001)[0])

    def render(self) -> Image:
        picture = getattr(self, f"_{self.setting}")()
        if "headline" in self.prompt.lower():
            picture = self._darken_below(picture)
        return self._finish(picture)

    # -------------------------------------------------------------------------------------------- settings
    def _podium(self) -> Image:
        picture = self._gradient(self._back(0.22, 0.97), self._back(0.34, 0.72))
        side = int(self.width * 0.78)
        left, top = (
            (self.width - side) // 2,
            int(self.height * 0.40 - side / 2 + self.rng.uniform(-0.03, 0.03) * self.height),
        )
        base = top + int(side * self.foot)
        self._soft(
            picture,
            (int(self.width * 0.02), base - side, int(self.width * 0.98), base),
            self._back(0.12, 1.0),
            0.55,
            60,
        )
        x0, x1, drop, flat = (
            int(self.width * 0.10),
            int(self.width * 0.90),
            int(self.height * 0.11),
            int(self.height * 0.035),
        )
        self._cylinder(picture, (x0, base, x1, base + drop), flat)
        self._draw(picture).ellipse((x0, base - flat, x1, base + flat), fill=self._back(0.16, 0.93))
        self._shadow(picture, left, base, side)
        self._place(picture, left, top, side)
        return picture

    def _table(self) -> Image:
        picture = self._gradient(self._back(0.14, 0.94), self._back(0.20, 0.82))
        horizon = int(self.height * 0.60)
        for shift in (0.0, 0.17, 0.34):  # light through the window's panes
            x = self.width * (0.12 + shift)
            self._glow_poly(
                picture,
                (
                    (x, 0),
                    (x + self.width * 0.13, 0),
                    (x + self.width * 0.43, horizon),
                    (x + self.width * 0.30, horizon),
                ),
                0.30,
            )
        wood = self._hsv(0.075, 0.46, 0.60)
        draw = self._draw(picture)
        draw.rectangle((0, horizon, self.width, self.height), fill=wood)
        for number in range(9):
            y = horizon + int((self.height - horizon) * (number / 9) ** 1.35)
            draw.line((0, y, self.width, y), fill=self._mix(wood, (0, 0, 0), 0.22), width=2 + number // 3)
            for _ in range(7):
                x, run = self.rng.uniform(0, self.width), self.rng.uniform(60, 220)
                draw.line(
                    (x, y + 9, x + run, y + 9 + self.rng.uniform(-2, 2)),
                    fill=self._mix(wood, (255, 240, 220), 0.14),
                    width=2,
                )
        self._shade_down(picture, horizon)
        side = int(self.width * 0.76)
        left, base = int(self.width * self.rng.uniform(0.09, 0.15)), int(self.height * 0.67)
        self._shadow(picture, left, base, side, lean=0.16)
        self._place(picture, left, base - int(side * self.foot), side)
        return picture

    def _flatlay(self) -> Image:
        picture = self._gradient(self._back(0.10, 0.95), self._back(0.16, 0.88))
        draw = self._draw(picture)
        props = [(0.14, 0.12), (0.88, 0.17), (0.12, 0.84), (0.87, 0.80), (0.5, 0.93)]
        self.rng.shuffle(props)
        for number, (px, py) in enumerate(props[:4]):
            x, y, size = px * self.width, py * self.height, self.width * self.rng.uniform(0.10, 0.16)
            self._soft(
                picture,
                (int(x - size + 22), int(y - size + 30), int(x + size + 22), int(y + size + 30)),
                (20, 18, 30),
                0.34,
                22,
            )
            draw = self._draw(picture)
            if number == 0:  # a cup seen from above
                draw.ellipse((x - size, y - size, x + size, y + size), fill=(250, 248, 244))
                draw.ellipse((x - size * 0.62, y - size * 0.62, x + size * 0.62, y + size * 0.62), fill=(236, 232, 226))
                draw.ellipse((x - size * 0.54, y - size * 0.54, x + size * 0.54, y + size * 0.54), fill=(92, 58, 40))
            elif number == 1:  # leaves
                for turn in range(5):
                    angle = turn * 1.1 + self.rng.random()
                    ends = (x + math.cos(angle) * size * 1.3, y + math.sin(angle) * size * 1.3)
                    self._leaf(draw, (x, y), ends, size * 0.34)
            elif number == 2:  # a sheet and a pencil
                draw.polygon(self._turned(x, y, size * 1.1, size * 1.5, 0.3), fill=(252, 250, 246))
                draw.polygon(
                    self._turned(x + size * 0.2, y, size * 0.12, size * 1.5, -0.4), fill=self._hsv(self.hue, 0.5, 0.8)
                )
            else:
                draw.ellipse(
                    (x - size * 0.7, y - size * 0.7, x + size * 0.7, y + size * 0.7), fill=self._back(0.45, 0.72)
                )
                draw.ellipse(
                    (x - size * 0.5, y - size * 0.5, x + size * 0.5, y + size * 0.5), fill=self._back(0.36, 0.84)
                )
        side = int(self.width * 0.82)
        left, top = (self.width - side) // 2, int(self.height * 0.46 - side / 2)
        self._place(picture, left, top, side, turn=self.rng.uniform(-14, 14), cast=(34, 46))
        return picture

    def _shelf(self) -> Image:
        picture = self._gradient(self._back(0.34, 0.52), self._back(0.42, 0.34))
        self._soft(
            picture,
            (int(self.width * -0.25), int(self.height * 0.02), int(self.width * 0.85), int(self.height * 0.62)),
            (255, 214, 150),
            0.42,
            120,
        )
        draw = self._draw(picture)
        board, thick = int(self.height * 0.66), int(self.height * 0.028)
        wood = self._hsv(0.07, 0.48, 0.50)
        x = int(self.width * 0.80)
        for number in range(4):  # books at the end of the shelf
            wide, tall = (
                int(self.width * self.rng.uniform(0.035, 0.055)),
                int(self.height * self.rng.uniform(0.12, 0.17)),
            )
            tone = self._hsv((self.back_hue + number * 0.13) % 1, 0.42, 0.62)
            draw.rectangle((x, board - tall, x + wide, board), fill=tone)
            draw.line(
                (x + wide * 0.3, board - tall * 0.85, x + wide * 0.3, board - tall * 0.15),
                fill=self._mix(tone, (255, 255, 255), 0.3),
                width=3,
            )
            x += wide + 3
        draw.rectangle((0, board, self.width, board + thick), fill=wood)
        draw.rectangle((0, board, self.width, board + thick // 4), fill=self._mix(wood, (255, 240, 220), 0.25))
        self._soft(picture, (-60, board + thick, self.width + 60, board + thick * 4), (0, 0, 0), 0.45, 26)
        side = int(self.width * 0.72)
        left, base = int(self.width * self.rng.uniform(0.05, 0.10)), board + 4
        self._shadow(picture, left, base, side, strength=0.5)
        self._place(picture, left, base - int(side * self.foot), side)
        return picture

    def _bold(self) -> Image:
        picture = self._gradient(self._back(0.62, 0.92), self._back(0.66, 0.84))
        draw = self._draw(picture)
        tilt = self.rng.uniform(0.10, 0.22) * self.rng.choice((-1, 1))
        middle = self.height * 0.52
        draw.polygon(
            (
                (0, middle - tilt * self.height),
                (self.width, middle + tilt * self.height),
                (self.width, self.height),
                (0, self.height),
            ),
            fill=self._hsv((self.back_hue + 0.12) % 1, 0.60, 0.70),
        )
        radius = self.width * 0.43
        x, y = self.width / 2, self.height * 0.46
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=self._back(0.18, 0.98))
        side = int(self.width * 0.80)
        self._place(
            picture, int(x - side / 2), int(y - side / 2), side, turn=self.rng.uniform(-9, 9), cast=(46, 64), hard=True
        )
        return picture

    def _outdoors(self) -> Image:
        picture = self._gradient((250, 222, 190), (168, 196, 224), upside_down=True)
        self._soft(
            picture,
            (int(self.width * 0.56), int(self.height * 0.06), int(self.width * 0.96), int(self.height * 0.29)),
            (255, 244, 214),
            0.9,
            46,
        )
        from PIL import ImageFilter

        draw = self._draw(picture)
        for number in range(3):
            level, tone = (
                self.height * (0.40 + number * 0.075),
                self._hsv(0.36 - number * 0.02, 0.22 + number * 0.10, 0.70 - number * 0.13),
            )
            phase, wave = self.rng.uniform(0, 6), self.rng.uniform(1.2, 2.2)
            line = [
                (x, level - math.sin(x / self.width * math.pi * wave + phase) * self.height * 0.045)
                for x in range(0, self.width + 24, 24)
            ]
            draw.polygon([(0, self.height), *line, (self.width + 24, self.height)], fill=tone)
        picture = picture.filter(ImageFilter.GaussianBlur(7))
        draw = self._draw(picture)
        ledge = int(self.height * 0.665)
        stone = (150, 142, 134)
        draw.polygon(
            (
                (0, ledge),
                (self.width * 0.3, ledge - 10),
                (self.width, ledge + 8),
                (self.width, self.height),
                (0, self.height),
            ),
            fill=stone,
        )
        for _ in range(240):
            x, y, size = (
                self.rng.uniform(0, self.width),
                self.rng.uniform(ledge + 8, self.height),
                self.rng.uniform(2, 9),
            )
            draw.ellipse(
                (x, y, x + size * 2, y + size),
                fill=self._mix(stone, self.rng.choice(((0, 0, 0), (255, 250, 240))), self.rng.uniform(0.05, 0.18)),
            )
        self._shade_down(picture, ledge)
        side = int(self.width * 0.74)
        left, base = (
            (self.width - side) // 2 + int(self.rng.uniform(-0.05, 0.05) * self.width),
            ledge + int(self.height * 0.03),
        )
        self._shadow(picture, left, base, side, lean=-0.14)
        self._place(picture, left, base - int(side * self.foot), side)
        return picture

    def _closeup(self) -> Image:
        picture = self._gradient(self._back(0.40, 0.58), self._back(0.50, 0.30))
        for _ in range(16):  # lights far behind, out of focus
            x, y, size = (
                self.rng.uniform(0, self.width),
                self.rng.uniform(0, self.height),
                self.rng.uniform(0.04, 0.13) * self.width,
            )
            tone = self._hsv((self.back_hue + self.rng.uniform(-0.08, 0.08)) % 1, 0.30, 1.0)
            self._soft(
                picture,
                (int(x - size), int(y - size), int(x + size), int(y + size)),
                tone,
                self.rng.uniform(0.10, 0.34),
                5,
            )
        side = int(self.width * self.rng.uniform(1.28, 1.5))
        left = int(self.width * 0.5 - side * self.rng.uniform(0.42, 0.58))
        top = int(self.height * 0.47 - side * 0.5)
        self._place(picture, left, top, side, turn=self.rng.uniform(-8, 8), cast=(30, 50))
        return picture

    # -------------------------------------------------------------------------------------------- the subject
    def _place(
        self,
        picture: Image,
        left: int,
        top: int,
        side: int,
        *,
        turn: float = 0.0,
        cast: tuple[int, int] | None = None,
        hard: bool = False,
    ) -> None:
        """Draw the subject into a square of the picture; ``cast`` is its shadow's offset when it floats or lies."""
        from PIL import Image, ImageFilter

        subject = self._subject(side)
        if self.rng.random() < 0.5 and not hard:
            subject = subject.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if turn:
            subject = subject.rotate(turn, Image.Resampling.BICUBIC)
        if cast:
            mask = subject.getchannel("A")
            if not hard:
                mask = mask.resize((side // 4, side // 4)).filter(ImageFilter.GaussianBlur(6)).resize((side, side))
            mask = mask.point(lambda value: value * (0.34 if hard else 0.42))
            picture.paste((12, 10, 24), (left + cast[0], top + cast[1]), mask)
        picture.paste(subject, (left, top), subject)

    def _subject(self, side: int) -> Image:
        """The thing on a transparent square, drawn at twice the size and reduced, each part lit from the upper left."""
        import numpy as np
        from PIL import Image, ImageDraw

        big = side * 2
        scale = big / 1000
        canvas = Image.new("RGBA", (big, big), (0, 0, 0, 0))
        for form, role, *rest in DRAWINGS[subject_of(self.prompt)]:
            points, width = _points(form, rest, scale)
            x0, y0 = max(0, int(min(x for x, _ in points) - width)), max(0, int(min(y for _, y in points) - width))
            x1, y1 = (
                min(big, int(max(x for x, _ in points) + width) + 1),
                min(big, int(max(y for _, y in points) + width) + 1),
            )
            if x1 <= x0 or y1 <= y0:
                continue
            mask = Image.new("L", (x1 - x0, y1 - y0), 0)
            _draw_form(ImageDraw.Draw(mask), form, [(x - x0, y - y0) for x, y in points], rest, scale)
            tone, alpha = self._role(role)
            if alpha < 1:
                mask = mask.point(lambda value, part=alpha: value * part)
            across = np.linspace(0, 1, x1 - x0, dtype=np.float32)[None, :]
            down = np.linspace(0, 1, y1 - y0, dtype=np.float32)[:, None]
            light = 1.16 - 0.30 * across - 0.20 * down
            lit = np.clip(np.array(tone, np.float32)[None, None, :] * light[:, :, None], 0, 255).astype(np.uint8)
            canvas.paste(Image.fromarray(lit), (x0, y0), mask)
        return canvas.reduce(2)

    def _role(self, role: str) -> tuple[Colour, float]:
        hue, saturation, value = self.hue, self.saturation, self.value
        match role:
            case "deep":
                return self._hsv(hue, min(1, saturation * 1.12), value * 0.74), 1.0
            case "light":
                return self._hsv(hue, saturation * 0.55, min(1.0, value * 1.2 + 0.10)), 1.0
            case "trim":
                return self._hsv((hue + 0.46) % 1, 0.58, 0.86), 1.0
            case "dark":
                return self._hsv(hue, 0.22, 0.17), 1.0
            case "metal":
                return (206, 208, 214), 1.0
            case "glow":
                return (255, 250, 236), 0.30
            case "leaf":
                return self._hsv(0.34, 0.52, 0.48), 1.0
        return self._hsv(hue, saturation, value), 1.0

    # -------------------------------------------------------------------------------------------- light and shade
    def _gradient(self, top: Colour, bottom: Colour, *, upside_down: bool = False) -> Image:
        import numpy as np
        from PIL import Image

        if upside_down:
            top, bottom = bottom, top
        down = np.linspace(0, 1, self.height, dtype=np.float32)[:, None, None]
        column = np.array(top, np.float32) * (1 - down) + np.array(bottom, np.float32) * down
        return Image.fromarray(np.broadcast_to(column, (self.height, self.width, 3)).astype(np.uint8))

    def _soft(self, picture: Image, box: tuple[int, int, int, int], tone: Colour, strength: float, blur: int) -> None:
        """A blurred oval of light or shade; blurred small and enlarged, since nobody sees the difference."""
        from PIL import Image, ImageDraw, ImageFilter

        part = 6
        pad = blur * 3
        x0, y0, x1, y1 = box[0] - pad, box[1] - pad, box[2] + pad, box[3] + pad
        small = Image.new("L", (max(2, (x1 - x0) // part), max(2, (y1 - y0) // part)), 0)
        inner = pad // part
        ImageDraw.Draw(small).ellipse(
            (inner, inner, small.width - inner, small.height - inner), fill=int(255 * strength)
        )
        mask = small.filter(ImageFilter.GaussianBlur(max(1, blur / part))).resize(
            (x1 - x0, y1 - y0), Image.Resampling.BILINEAR
        )
        picture.paste(tone, (x0, y0), mask)

    def _shadow(
        self, picture: Image, left: int, base: int, side: int, *, lean: float = 0.0, strength: float = 0.42
    ) -> None:
        shift = int(side * lean)
        flat = int(side * 0.075)
        self._soft(
            picture,
            (left + int(side * 0.12) + shift, base - flat, left + int(side * 0.88) + shift, base + flat),
            (10, 8, 20),
            strength,
            20,
        )

    def _glow_poly(self, picture: Image, points: tuple[tuple[float, float], ...], strength: float) -> None:
        from PIL import Image, ImageDraw, ImageFilter

        part = 4
        mask = Image.new("L", (self.width // part, self.height // part), 0)
        ImageDraw.Draw(mask).polygon([(x / part, y / part) for x, y in points], fill=int(255 * strength))
        mask = mask.filter(ImageFilter.GaussianBlur(4)).resize((self.width, self.height), Image.Resampling.BILINEAR)
        picture.paste((255, 248, 228), (0, 0), mask)

    def _shade_down(self, picture: Image, start: int) -> None:
        """Darker towards the lower edge, from a row on."""
        self._multiply(picture, start, 1.0, 0.62)

    def _darken_below(self, picture: Image) -> Image:
        self._multiply(picture, int(self.height * 0.52), 1.0, 0.16)
        return picture

    def _multiply(self, picture: Image, start: int, first: float, last: float) -> None:
        import numpy as np
        from PIL import Image

        band = np.asarray(picture.crop((0, start, self.width, self.height)), np.float32)
        factor = np.linspace(first, last, band.shape[0], dtype=np.float32)[:, None, None]
        picture.paste(Image.fromarray((band * factor).astype(np.uint8)), (0, start))

    def _cylinder(self, picture: Image, box: tuple[int, int, int, int], flat: int) -> None:
        """A standing cylinder's side: bright left of the middle, dark at the edges, round below."""
        import numpy as np
        from PIL import Image, ImageDraw

        x0, y0, x1, y1 = box
        across = np.linspace(-1, 1, x1 - x0, dtype=np.float32)[None, :, None]
        lit = np.array(self._back(0.30, 0.66), np.float32) * (1.12 - 0.42 * (across + 0.25) ** 2)
        side = Image.fromarray(np.broadcast_to(np.clip(lit, 0, 255), (y1 - y0 + flat, x1 - x0, 3)).astype(np.uint8))
        mask = Image.new("L", side.size, 0)
        draw = ImageDraw.Draw(mask)
        draw.rectangle((0, 0, x1 - x0, y1 - y0), fill=255)
        draw.ellipse((0, y1 - y0 - flat, x1 - x0, y1 - y0 + flat), fill=255)
        picture.paste(side, (x0, y0), mask)

    def _finish(self, picture: Image) -> Image:
        """Vignette and grain: they hide the steps of the gradients and keep the encoder honest."""
        import numpy as np
        from PIL import Image

        noise = np.random.default_rng(self.rng.getrandbits(32))
        pixels = np.asarray(picture, np.float32)
        across = np.linspace(-1, 1, self.width, dtype=np.float32)[None, :]
        down = np.linspace(-1, 1, self.height, dtype=np.float32)[:, None]
        shade = 1.0 - 0.16 * np.clip(across**2 * 0.7 + down**2 * 0.8 - 0.35, 0, None)
        grain = noise.normal(0, 2.2, (self.height, self.width)).astype(np.float32)
        return Image.fromarray(np.clip(pixels * shade[:, :, None] + grain[:, :, None], 0, 255).astype(np.uint8))

    # -------------------------------------------------------------------------------------------- small help
    @staticmethod
    def _draw(picture: Image) -> Any:
        from PIL import ImageDraw

        return ImageDraw.Draw(picture)

    @staticmethod
    def _hsv(hue: float, saturation: float, value: float) -> Colour:
        red, green, blue = colorsys.hsv_to_rgb(hue % 1, max(0.0, min(1.0, saturation)), max(0.0, min(1.0, value)))
        return int(red * 255), int(green * 255), int(blue * 255)

    def _back(self, saturation: float, value: float) -> Colour:
        return self._hsv(self.back_hue, saturation, value)

    @staticmethod
    def _mix(one: Colour, other: Colour, share: float) -> Colour:
        red, green, blue = (int(a * (1 - share) + b * share) for a, b in zip(one, other, strict=True))
        return red, green, blue

    @staticmethod
    def _turned(x: float, y: float, wide: float, tall: float, angle: float) -> list[tuple[float, float]]:
        corners = ((-wide / 2, -tall / 2), (wide / 2, -tall / 2), (wide / 2, tall / 2), (-wide / 2, tall / 2))
        sine, cosine = math.sin(angle), math.cos(angle)
        return [(x + a * cosine - b * sine, y + a * sine + b * cosine) for a, b in corners]

    def _leaf(self, draw: Any, stem: tuple[float, float], tip: tuple[float, float], wide: float) -> None:
        middle = ((stem[0] + tip[0]) / 2, (stem[1] + tip[1]) / 2)
        angle = math.atan2(tip[1] - stem[1], tip[0] - stem[0]) + math.pi / 2
        side = (math.cos(angle) * wide, math.sin(angle) * wide)
        green = self._hsv(0.34, 0.42, self.rng.uniform(0.42, 0.6))
        draw.polygon(
            (stem, (middle[0] + side[0], middle[1] + side[1]), tip, (middle[0] - side[0], middle[1] - side[1])),
            fill=green,
        )
        draw.line((stem, tip), fill=self._mix(green, (255, 255, 255), 0.25), width=3)


def _points(form: str, rest: list[Any], scale: float) -> tuple[list[tuple[float, float]], float]:
    """A shape's corner points in pixels and how far its stroke reaches beyond them."""
    if form in ("poly", "line"):
        return [(x * scale, y * scale) for x, y in rest[0]], (rest[1] * scale if form == "line" else 2)
    x0, y0, x1, y1 = (value * scale for value in rest[0][:4])
    return [(x0, y0), (x1, y1)], 2


def _draw_form(draw: Any, form: str, points: list[tuple[float, float]], rest: list[Any], scale: float) -> None:
    """One shape into a mask."""
    if form == "poly":
        draw.polygon(points, fill=255)
    elif form == "line":
        width = int(rest[1] * scale)
        draw.line(points, fill=255, width=width, joint="curve")
        for x, y in (points[0], points[-1]):
            draw.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=255)
    elif form == "oval":
        draw.ellipse((*points[0], *points[1]), fill=255)
    elif form == "ring":
        draw.ellipse((*points[0], *points[1]), outline=255, width=int(rest[1] * scale))
    elif form == "arc":
        draw.arc((*points[0], *points[1]), rest[1], rest[2], fill=255, width=int(rest[3] * scale))
    else:
        draw.rounded_rectangle((*points[0], *points[1]), radius=rest[0][4] * scale, fill=255)
