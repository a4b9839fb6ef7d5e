"""What the painter can draw: things as lists of simple shapes, the words that call for them, and colours by name.

Data only, one thing a paragraph: that is why its lines are long. ``painter`` gives the shapes their light.
"""

# ruff: noqa: E501

from __future__ import annotations

import math
from typing import Any

Shape = tuple[Any, ...]  # (form, role, coordinates in a 1000 × 1000 square, more…)

# Forms: box (x0 y0 x1 y1 radius), oval (x0 y0 x1 y1), poly (points), line (points, width), ring (x0 y0 x1 y1 width),
# arc (x0 y0 x1 y1 from-degrees to-degrees width). Roles: base, deep, light, trim, dark, metal, glow, leaf.
DRAWINGS: dict[str, tuple[Shape, ...]] = {
    "mug": (
        ("arc", "deep", (610, 400, 860, 690), -100, 100, 46),
        ("box", "base", (240, 330, 690, 800, 70)), ("oval", "deep", (240, 285, 690, 395)), ("oval", "dark", (268, 302, 662, 380)),
        ("line", "glow", ((310, 460), (310, 700)), 22),
    ),
    "kettle": (
        ("arc", "dark", (300, 130, 700, 560), 180, 360, 40), ("line", "base", ((690, 560), (800, 470), (850, 330)), 44),
        ("poly", "base", ((330, 360), (670, 360), (770, 810), (230, 810))), ("oval", "deep", (225, 770, 775, 850)),
        ("oval", "light", (330, 325, 670, 395)), ("oval", "dark", (462, 290, 538, 350)),
        ("line", "glow", ((385, 450), (340, 740)), 24), ("box", "metal", (240, 820, 760, 860, 20)),
    ),
    "carafe": (
        ("poly", "metal", ((320, 150), (680, 150), (560, 400), (440, 400))), ("oval", "light", (320, 120, 680, 185)),
        ("poly", "base", ((455, 395), (545, 395), (745, 800), (255, 800))), ("oval", "deep", (250, 745, 750, 860)),
        ("poly", "dark", ((330, 650), (670, 650), (738, 800), (262, 800))), ("oval", "dark", (258, 760, 742, 845)),
        ("box", "trim", (420, 370, 580, 450, 26)), ("line", "glow", ((400, 560), (330, 720)), 20),
    ),
    "bottle": (
        ("box", "dark", (430, 110, 570, 220, 24)), ("box", "metal", (440, 210, 560, 280, 10)),
        ("box", "base", (340, 270, 660, 890, 90)), ("box", "trim", (340, 520, 660, 700, 8)),
        ("line", "glow", ((395, 350), (395, 830)), 24),
    ),
    "bowl": (
        ("oval", "deep", (390, 730, 610, 800)), ("poly", "base", ((140, 430), (860, 430), (760, 650), (620, 770), (380, 770), (240, 650))),
        ("oval", "light", (140, 350, 860, 510)), ("oval", "dark", (180, 372, 820, 490)),
        ("line", "glow", ((245, 560), (330, 690)), 22),
    ),
    "pan": (
        ("line", "dark", ((640, 480), (930, 300)), 62), ("oval", "deep", (110, 420, 750, 740)), ("oval", "base", (110, 380, 750, 690)),
        ("oval", "dark", (150, 405, 710, 660)), ("oval", "deep", (210, 440, 650, 625)), ("oval", "metal", (655, 440, 700, 480)),
    ),
    "knife": (
        ("poly", "metal", ((90, 610), (640, 390), (670, 480), (300, 640))), ("line", "light", ((110, 612), (640, 408)), 12),
        ("poly", "dark", ((640, 385), (700, 365), (725, 455), (668, 482))), ("line", "base", ((700, 408), (920, 318)), 84),
        ("oval", "metal", (760, 360, 784, 384)), ("oval", "metal", (850, 324, 874, 348)),
    ),
    "lamp": (
        ("oval", "glow", (200, 380, 760, 900)), ("oval", "deep", (360, 830, 700, 900)), ("oval", "base", (360, 812, 700, 880)),
        ("line", "metal", ((530, 840), (530, 520), (430, 330)), 26), ("poly", "base", ((300, 230), (520, 180), (680, 430), (270, 500))),
        ("oval", "light", (270, 405, 682, 530)), ("oval", "metal", (505, 495, 555, 545)),
    ),
    "chair": (
        ("line", "dark", ((500, 640), (500, 800)), 40), ("line", "dark", ((320, 880), (500, 790), (680, 880)), 34),
        ("oval", "dark", (296, 860, 344, 908)), ("oval", "dark", (656, 860, 704, 908)), ("oval", "dark", (476, 830, 524, 878)),
        ("box", "base", (330, 120, 670, 540, 90)), ("box", "deep", (370, 165, 630, 500, 60)), ("box", "base", (270, 540, 730, 660, 56)),
        ("line", "dark", ((255, 430), (255, 560), (310, 600)), 30), ("line", "dark", ((745, 430), (745, 560), (690, 600)), 30),
    ),
    "sofa": (
        ("box", "dark", (210, 740, 250, 830, 10)), ("box", "dark", (750, 740, 790, 830, 10)), ("box", "base", (140, 340, 860, 640, 70)),
        ("box", "deep", (190, 380, 495, 600, 46)), ("box", "deep", (505, 380, 810, 600, 46)), ("box", "light", (180, 560, 820, 700, 40)),
        ("box", "base", (90, 460, 220, 750, 54)), ("box", "base", (780, 460, 910, 750, 54)), ("box", "deep", (140, 690, 860, 755, 20)),
        ("box", "trim", (250, 440, 400, 590, 30)),
    ),
    "table": (
        ("box", "deep", (190, 480, 240, 840, 8)), ("box", "deep", (760, 480, 810, 840, 8)), ("box", "dark", (290, 470, 330, 760, 8)),
        ("box", "dark", (670, 470, 710, 760, 8)), ("poly", "light", ((230, 360), (770, 360), (880, 450), (120, 450))),
        ("box", "base", (120, 448, 880, 495, 10)), ("box", "trim", (430, 290, 560, 400, 20)), ("oval", "leaf", (440, 190, 550, 320)),
    ),
    "cabinet": (
        ("box", "dark", (250, 820, 290, 890, 6)), ("box", "dark", (710, 820, 750, 890, 6)), ("box", "base", (210, 220, 790, 830, 26)),
        ("box", "light", (245, 260, 755, 430, 16)), ("box", "light", (245, 450, 755, 620, 16)), ("box", "light", (245, 640, 755, 800, 16)),
        ("box", "metal", (455, 330, 545, 352, 10)), ("box", "metal", (455, 520, 545, 542, 10)), ("box", "metal", (455, 708, 545, 730, 10)),
    ),
    "backpack": (
        ("arc", "dark", (400, 110, 600, 300), 180, 360, 30), ("box", "deep", (210, 460, 310, 780, 50)), ("box", "deep", (690, 460, 790, 780, 50)),
        ("box", "base", (270, 190, 730, 880, 150)), ("box", "light", (310, 230, 690, 480, 110)), ("box", "deep", (320, 540, 680, 830, 70)),
        ("line", "metal", ((350, 590), (650, 590)), 14), ("line", "dark", ((390, 200), (390, 540)), 30), ("line", "dark", ((610, 200), (610, 540)), 30),
        ("box", "metal", (370, 500, 410, 545, 8)), ("box", "metal", (590, 500, 630, 545, 8)), ("box", "trim", (455, 660, 545, 720, 12)),
    ),
    "handbag": (
        ("arc", "deep", (330, 130, 670, 660), 180, 360, 34), ("poly", "base", ((220, 420), (780, 420), (850, 830), (150, 830))),
        ("box", "deep", (150, 790, 850, 850, 26)), ("poly", "light", ((220, 420), (780, 420), (740, 600), (260, 600))),
        ("oval", "metal", (455, 560, 545, 640)), ("oval", "metal", (315, 400, 355, 440)), ("oval", "metal", (645, 400, 685, 440)),
    ),
    "shoe": (
        ("poly", "base", ((140, 690), (180, 420), (360, 400), (470, 520), (700, 590), (850, 650), (870, 720), (140, 720))),
        ("poly", "deep", ((180, 420), (360, 400), (380, 450), (200, 480))), ("box", "light", (120, 710, 890, 780, 36)),
        ("box", "dark", (120, 765, 890, 800, 18)), ("line", "light", ((430, 490), (520, 440)), 20), ("line", "light", ((480, 530), (570, 480)), 20),
        ("line", "light", ((535, 558), (620, 515)), 20), ("line", "trim", ((210, 660), (330, 520), (400, 690)), 26),
    ),
    "headphones": (
        ("arc", "dark", (220, 170, 780, 860), 180, 360, 60), ("arc", "base", (232, 182, 768, 848), 200, 340, 34),
        ("box", "base", (180, 480, 330, 790, 70)), ("box", "base", (670, 480, 820, 790, 70)), ("box", "dark", (300, 510, 380, 760, 38)),
        ("box", "dark", (620, 510, 700, 760, 38)), ("oval", "metal", (215, 590, 275, 680)), ("oval", "metal", (725, 590, 785, 680)),
    ),
    "speaker": (
        ("box", "base", (270, 130, 730, 890, 60)), ("oval", "deep", (330, 450, 670, 790)), ("oval", "dark", (362, 482, 638, 758)),
        ("oval", "metal", (452, 572, 548, 668)), ("oval", "deep", (410, 210, 590, 390)), ("oval", "dark", (436, 236, 564, 364)),
        ("oval", "trim", (486, 286, 514, 314)), ("line", "glow", ((310, 190), (310, 820)), 14),
    ),
    "microphone": (
        ("oval", "dark", (330, 850, 670, 920)), ("line", "metal", ((500, 870), (500, 600)), 34), ("arc", "metal", (350, 300, 650, 640), 0, 180, 26),
        ("box", "base", (395, 120, 605, 560, 104)), ("box", "metal", (405, 130, 595, 350, 94)), ("line", "dark", ((405, 200), (595, 200)), 10),
        ("line", "dark", ((402, 255), (598, 255)), 10), ("line", "dark", ((402, 310), (598, 310)), 10), ("box", "trim", (395, 360, 605, 390, 6)),
    ),
    "camera": (
        ("box", "dark", (380, 250, 620, 360, 26)), ("box", "base", (160, 320, 840, 760, 60)), ("box", "deep", (160, 420, 840, 640, 0)),
        ("oval", "metal", (330, 350, 670, 730)), ("oval", "dark", (365, 388, 635, 692)), ("oval", "deep", (420, 446, 580, 634)),
        ("oval", "glow", (440, 460, 500, 530)), ("box", "trim", (690, 350, 790, 395, 16)), ("oval", "metal", (200, 290, 280, 340)),
    ),
    "keyboard": (
        ("poly", "base", ((110, 420), (890, 420), (950, 700), (50, 700))), ("poly", "deep", ((50, 700), (950, 700), (940, 745), (60, 745))),
        *(
            ("poly", "trim" if (row, column) in {(0, 0), (3, 8)} else "light", (
                (150 + column * 71 - row * 15 + column * row * 1.6, 445 + row * 62), (208 + column * 71 - row * 15 + column * row * 1.6, 445 + row * 62),
                (204 + column * 72 - row * 18 + column * row * 1.8, 490 + row * 62), (142 + column * 72 - row * 18 + column * row * 1.8, 490 + row * 62),
            ))
            for row in range(4) for column in range(10)
        ),
    ),
    "screen": (
        ("poly", "metal", ((440, 690), (560, 690), (600, 850), (400, 850))), ("oval", "metal", (300, 820, 700, 890)),
        ("box", "dark", (110, 190, 890, 710, 26)), ("box", "deep", (135, 215, 865, 680, 12)), ("poly", "base", ((135, 560), (400, 330), (865, 640), (865, 680), (135, 680))),
        ("oval", "trim", (640, 270, 740, 370)), ("poly", "glow", ((160, 230), (360, 230), (220, 500), (160, 500))),
    ),
    "device": (
        ("box", "base", (300, 140, 700, 870, 80)), ("box", "deep", (345, 420, 655, 800, 40)),
        *(("line", "dark", ((370, 460 + 40 * row), (630, 460 + 40 * row)), 12) for row in range(8)),
        ("oval", "dark", (420, 210, 580, 370)), ("arc", "trim", (440, 230, 560, 350), 150, 400, 16), ("box", "dark", (330, 860, 670, 890, 14)),
    ),
    "cable": (
        ("arc", "base", (180, 260, 640, 720), 0, 360, 44), ("arc", "deep", (250, 330, 570, 650), 20, 380, 40), ("arc", "base", (310, 250, 830, 770), 90, 300, 40),
        ("box", "dark", (700, 690, 830, 770, 20)), ("box", "metal", (825, 708, 900, 752, 8)), ("box", "dark", (560, 190, 680, 270, 20)),
        ("box", "metal", (675, 208, 745, 252, 8)),
    ),
    "watch": (
        ("box", "deep", (400, 80, 600, 930, 50)), ("box", "base", (410, 80, 590, 400, 40)), ("box", "base", (410, 620, 590, 930, 40)),
        ("oval", "metal", (270, 270, 730, 740)), ("oval", "dark", (305, 306, 695, 704)), ("line", "light", ((500, 505), (500, 370)), 16),
        ("line", "light", ((500, 505), (600, 560)), 16), ("oval", "trim", (482, 487, 518, 523)), ("box", "metal", (725, 480, 765, 530, 10)),
    ),
    "clock": (
        ("oval", "base", (150, 170, 850, 870)), ("oval", "light", (200, 220, 800, 820)), ("oval", "glow", (220, 240, 780, 800)),
        *(
            ("line", "dark", ((500 + 255 * math.sin(h * math.pi / 6), 520 - 255 * math.cos(h * math.pi / 6)), (500 + 280 * math.sin(h * math.pi / 6), 520 - 280 * math.cos(h * math.pi / 6))), 16)
            for h in range(12)
        ),
        ("line", "dark", ((500, 520), (390, 430)), 26), ("line", "dark", ((500, 520), (590, 330)), 20), ("oval", "trim", (475, 495, 525, 545)),
    ),
    "glasses": (
        ("ring", "base", (110, 380, 460, 680), 34), ("ring", "base", (540, 380, 890, 680), 34), ("oval", "deep", (140, 410, 430, 650)),
        ("oval", "deep", (570, 410, 860, 650)), ("arc", "base", (430, 420, 570, 560), 180, 360, 28), ("line", "dark", ((130, 450), (60, 400)), 26),
        ("line", "dark", ((870, 450), (940, 400)), 26), ("line", "glow", ((200, 460), (280, 590)), 26), ("line", "glow", ((630, 460), (710, 590)), 26),
    ),
    "jewel": (
        ("ring", "metal", (260, 380, 740, 860), 46), ("poly", "light", ((380, 210), (620, 210), (720, 320), (500, 500), (280, 320))),
        ("poly", "base", ((280, 320), (720, 320), (500, 500))), ("poly", "glow", ((380, 210), (450, 320), (280, 320))),
        ("poly", "deep", ((550, 320), (720, 320), (500, 500))), ("poly", "trim", ((450, 320), (550, 320), (500, 500))),
    ),
    "shirt": (
        ("arc", "metal", (440, 60, 560, 180), 90, 360, 16), ("poly", "base", ((360, 200), (640, 200), (870, 340), (800, 520), (700, 470), (700, 880), (300, 880), (300, 470), (200, 520), (130, 340))),
        ("poly", "deep", ((420, 200), (580, 200), (500, 330))), ("line", "deep", ((500, 330), (500, 870)), 10),
        *(("oval", "light", (488, 420 + 110 * n, 512, 444 + 110 * n)) for n in range(4)), ("box", "light", (560, 440, 660, 540, 12)),
    ),
    "scarf": (
        ("arc", "base", (270, 150, 730, 560), 0, 360, 120), ("poly", "deep", ((380, 430), (540, 470), (500, 880), (330, 860))),
        ("poly", "base", ((500, 470), (650, 430), (700, 820), (540, 850))),
        *(("line", "trim", ((345 + 8 * n, 700 + 30 * n), (505, 720 + 30 * n)), 12) for n in range(4)),
        *(("line", "light", ((560 + 28 * n, 840), (566 + 30 * n, 910)), 10) for n in range(5)),
    ),
    "plant": (
        ("line", "leaf", ((500, 640), (490, 300)), 16), ("oval", "leaf", (430, 120, 560, 380)), ("poly", "leaf", ((490, 560), (210, 440), (230, 250), (420, 380))),
        ("poly", "leaf", ((510, 560), (790, 430), (780, 240), (580, 370))), ("poly", "leaf", ((490, 620), (250, 640), (170, 520), (360, 500))),
        ("poly", "leaf", ((510, 620), (750, 640), (840, 520), (640, 500))), ("poly", "base", ((310, 610), (690, 610), (630, 890), (370, 890))),
        ("box", "light", (290, 590, 710, 670, 20)),
    ),
    "flowers": (
        *(("line", "leaf", ((500, 640), (x, y)), 14) for x, y in ((300, 330), (420, 240), (560, 220), (700, 320), (500, 380))),
        *(("oval", role, (x - 90, y - 85, x + 90, y + 85)) for role, x, y in (("base", 300, 330), ("trim", 430, 230), ("base", 575, 215), ("light", 705, 325), ("trim", 505, 370))),
        *(("oval", "dark", (x - 26, y - 24, x + 26, y + 24)) for x, y in ((300, 330), (430, 230), (575, 215), (705, 325), (505, 370))),
        ("poly", "deep", ((360, 560), (640, 560), (600, 890), (400, 890))), ("oval", "light", (360, 530, 640, 590)),
    ),
    "guitar": (
        ("box", "dark", (465, 70, 535, 560, 16)), ("box", "deep", (440, 50, 560, 150, 20)), ("oval", "base", (330, 420, 670, 700)), ("oval", "base", (260, 580, 740, 930)),
        ("oval", "light", (300, 615, 700, 895)), ("oval", "dark", (415, 560, 585, 730)), ("box", "dark", (400, 800, 600, 830, 8)),
        *(("line", "metal", ((480 + 13 * n, 90), (480 + 13 * n, 815)), 4) for n in range(4)),
    ),
    "drum": (
        ("oval", "deep", (190, 640, 810, 870)), ("box", "base", (190, 420, 810, 760, 0)), ("oval", "base", (190, 650, 810, 865)), ("oval", "metal", (180, 320, 820, 540)),
        ("oval", "light", (205, 338, 795, 520)), ("line", "trim", ((200, 470), (330, 800), (460, 530), (590, 810), (800, 470)), 14),
        ("line", "dark", ((330, 120), (560, 420)), 22), ("line", "dark", ((720, 130), (500, 410)), 22),
    ),
    "book": (
        ("poly", "light", ((250, 250), (750, 200), (780, 800), (280, 860))), ("poly", "base", ((220, 220), (720, 170), (750, 780), (250, 830))),
        ("poly", "deep", ((220, 220), (285, 214), (315, 824), (250, 830))), ("poly", "trim", ((370, 330), (650, 302), (656, 400), (375, 430))),
        ("poly", "light", ((385, 560), (570, 540), (572, 570), (387, 590))),
    ),
    "tool": (
        ("line", "base", ((360, 900), (560, 330)), 90), ("line", "deep", ((360, 900), (440, 680)), 96),
        ("poly", "metal", ((330, 250), (720, 120), (790, 190), (760, 320), (640, 330), (400, 380))), ("poly", "dark", ((330, 250), (250, 330), (300, 390), (400, 380))),
    ),
    "vase": (
        ("line", "leaf", ((500, 330), (400, 120)), 10), ("line", "leaf", ((500, 330), (600, 90)), 10), ("oval", "leaf", (360, 80, 430, 190)), ("oval", "leaf", (570, 50, 640, 170)),
        ("poly", "base", ((430, 300), (570, 300), (590, 430), (720, 600), (660, 870), (340, 870), (280, 600), (410, 430))), ("oval", "deep", (430, 275, 570, 325)),
        ("oval", "deep", (340, 840, 660, 895)), ("line", "glow", ((350, 580), (375, 800)), 24),
    ),
    "candle": (
        ("oval", "glow", (330, 90, 670, 480)), ("poly", "trim", ((500, 170), (545, 290), (500, 350), (455, 290))), ("line", "dark", ((500, 340), (500, 400)), 10),
        ("box", "light", (350, 400, 650, 860, 40)), ("oval", "base", (350, 370, 650, 440)), ("box", "base", (330, 560, 670, 890, 40)), ("box", "deep", (330, 650, 670, 780, 0)),
    ),
    "cushion": (
        ("poly", "deep", ((190, 260), (810, 230), (850, 810), (160, 830))), ("box", "base", (200, 240, 800, 810, 130)), ("box", "light", (290, 330, 710, 720, 90)),
        *(("line", "deep", ((300 + 100 * n, 340), (300 + 100 * n, 710)), 10) for n in range(5)), ("oval", "trim", (475, 500, 525, 550)),
    ),
    "food": (
        ("oval", "deep", (110, 560, 890, 860)), ("oval", "light", (110, 530, 890, 820)), ("oval", "metal", (190, 570, 810, 780)),
        ("oval", "base", (300, 360, 520, 600)), ("oval", "trim", (470, 400, 690, 640)), ("oval", "deep", (360, 500, 600, 720)), ("oval", "leaf", (560, 330, 660, 420)),
        ("oval", "leaf", (350, 310, 430, 390)), ("oval", "glow", (350, 400, 410, 460)), ("oval", "glow", (540, 440, 595, 500)),
    ),
    "tent": (
        ("poly", "deep", ((500, 230), (900, 800), (640, 800))), ("poly", "base", ((500, 230), (640, 800), (100, 800))), ("poly", "dark", ((470, 380), (520, 800), (330, 800))),
        ("poly", "light", ((470, 380), (400, 800), (330, 800))), ("line", "metal", ((500, 230), (500, 190)), 14), ("line", "trim", ((900, 800), (960, 850)), 8), ("line", "trim", ((100, 800), (40, 850)), 8),
    ),
    "ornament": (
        ("arc", "metal", (460, 90, 540, 180), 0, 360, 14), ("box", "metal", (440, 160, 560, 240, 14)), ("oval", "base", (200, 220, 800, 830)), ("arc", "trim", (205, 380, 795, 660), 10, 170, 34),
        ("arc", "light", (215, 300, 785, 560), 15, 165, 20), ("oval", "glow", (300, 320, 430, 470)),
    ),
    "mat": (
        ("poly", "deep", ((120, 470), (760, 300), (900, 690), (260, 870))), ("poly", "base", ((120, 450), (760, 280), (900, 670), (260, 850))),
        *(("line", "light", ((170 + 34 * n, 560 + 70 * n), (800 + 30 * n, 390 + 72 * n)), 8) for n in range(4)), ("oval", "light", (70, 400, 210, 520)), ("oval", "deep", (100, 425, 180, 495)),
    ),
    "parcel": (
        ("poly", "light", ((500, 250), (840, 380), (500, 520), (160, 380))), ("poly", "base", ((160, 380), (500, 520), (500, 870), (160, 720))),
        ("poly", "deep", ((840, 380), (500, 520), (500, 870), (840, 720))), ("poly", "trim", ((300, 325), (370, 300), (710, 430), (640, 460))), ("poly", "trim", ((640, 460), (710, 430), (710, 560), (640, 590))),
    ),
}  # fmt: skip

# The first drawing whose word stands in the prompt's product, last word of the name first.
WORDS: tuple[tuple[str, str], ...] = (
    ("headphones", r"headphones?|earbuds?|headset"), ("lamp", r"lamps?|lights?|lanterns?|chandeliers?|lighting|sconces?"),
    ("keyboard", r"keyboards?|numpad|piano|synth\w*|keys"), ("speaker", r"speakers?|soundbar|amplifiers?|subwoofer"),
    ("microphone", r"microphones?|mics?"), ("camera", r"cameras?|webcams?|lens"), ("screen", r"monitors?|televisions?|tvs?|laptops?|computers?|tablets?|screens?|displays?|e-?readers?"),
    ("cable", r"cables?|chargers?|hubs?|docks?|docking|adapters?|leash"), ("backpack", r"backpacks?|daypacks?|rucksacks?|packs?"),
    ("handbag", r"handbags?|totes?|bags?|purses?|clutch\w*|satchels?|wallets?|duffels?"), ("shoe", r"shoes?|sneakers?|boots?|sandals?|loafers?|oxfords?|heels?|slippers?|footwear|trainers?|runners?"),
    ("watch", r"watch(?:es)?|smartwatch"), ("clock", r"clocks?|timers?"), ("glasses", r"glasses|sunglasses|eyewear|spectacles|goggles"),
    ("jewel", r"rings?|necklaces?|bracelets?|earrings?|pendants?|jewelry|bands?|studs?|diamonds?"), ("scarf", r"scarf|scarves|shawls?|wraps?|socks?|belts?|ties?"),
    ("shirt", r"shirts?|jackets?|blazers?|coats?|hoodies?|sweaters?|blouses?|tees?|vests?|cardigans?|parkas?|apparel"),
    ("sofa", r"sofas?|couch(?:es)?|loveseats?|sectionals?|futons?|beds?|mattress"), ("chair", r"chairs?|stools?|armchairs?|recliners?|seats?|bench(?:es)?"),
    ("table", r"tables?|desks?|converters?|islands?|workbench"), ("cabinet", r"cabinets?|dressers?|drawers?|shelf|shelves|shelving|bookcases?|nightstands?|storage|organizers?|racks?|bins?|containers?|boxes"),
    ("cushion", r"cushions?|pillows?|throws?|blankets?|duvets?|towels?|napkins?"), ("mat", r"mats?|rugs?|yoga|carpets?"),
    ("pan", r"pans?|skillets?|woks?|griddles?"), ("knife", r"kni(?:fe|ves)|whetstones?|cleavers?|cutlery|axe"), ("kettle", r"kettles?|teapots?|pots?|ovens?|cookers?"),
    ("carafe", r"drippers?|carafes?|coffee|brew\w*|decanters?|pitchers?"), ("mug", r"mugs?|cups?|tumblers?|teacups?|glass|beer"), ("bowl", r"bowls?|dinner|dishes|plates?|stoneware|tableware|platters?"),
    ("bottle", r"bottles?|flasks?|thermos|lotions?|shampoo|serums?|perfumes?|cologne|soap|grooming|beauty|bathing|cream|oil|spray"),
    ("device", r"humidifiers?|purifiers?|heaters?|fans?|fryers?|blenders?|mixers?|toasters?|grinders?|diffusers?|vacuums?|routers?|ssd|drives?|switch(?:es)?|interface|batter(?:y|ies)|power"),
    ("guitar", r"guitars?|violins?|ukuleles?|cellos?|bass|banjos?|strings|mandolins?"), ("drum", r"drums?|percussion|cymbals?|bongos?|snares?|tambourines?|xylophones?|marimba"),
    ("book", r"books?|notebooks?|journals?|planners?|guides?|cookbooks?"), ("tool", r"hammers?|wrench(?:es)?|drills?|saws?|pliers?|screwdrivers?|tools?|toolkits?|shovels?|rods?|reels?"),
    ("flowers", r"bouquets?|flowers?|roses?|floral|centerpieces?|arrangements?|wreaths?|tulips?|orchids?"), ("plant", r"plants?|succulents?|ferns?|cactus|cacti|herbs?|planters?|trees?|monsteras?"),
    ("candle", r"candles?|candleholders?|votives?"), ("vase", r"vases?|decorative|decor|sculptures?|figurines?|urns?|jars?|statues?"),
    ("tent", r"tents?|camping|hammocks?|canop\w+|kayaks?|tarps?|sleeping"), ("ornament", r"ornaments?|christmas|halloween|easter|valentine|garlands?|baubles?|stockings?|pumpkins?"),
    ("food", r"bread|loaf|cakes?|pastr\w+|fruits?|apples?|berries|vegetables?|salads?|meat|steaks?|seafood|salmon|fish|cheese|dairy|pizza|nachos?|sandwich\w*|wraps?|soup|chips|nuts?|chocolate|bakery|groceries|snacks?|food|cookies?|muffins?"),
)  # fmt: skip

HUES: dict[str, tuple[float, float, float]] = {  # hue, saturation, value
    "black": (0.62, 0.12, 0.20), "charcoal": (0.62, 0.12, 0.30), "white": (0.10, 0.05, 0.95), "silver": (0.60, 0.05, 0.78), "steel": (0.58, 0.10, 0.70),
    "grey": (0.60, 0.05, 0.58), "gray": (0.60, 0.05, 0.58), "gold": (0.12, 0.62, 0.85), "golden": (0.12, 0.62, 0.85), "brass": (0.12, 0.55, 0.76),
    "beige": (0.10, 0.24, 0.86), "khaki": (0.13, 0.34, 0.66), "brown": (0.06, 0.55, 0.48), "tan": (0.08, 0.42, 0.74), "walnut": (0.06, 0.52, 0.42), "oak": (0.09, 0.42, 0.74),
    "bamboo": (0.12, 0.42, 0.82), "red": (0.99, 0.74, 0.78), "orange": (0.07, 0.78, 0.92), "amber": (0.10, 0.78, 0.90), "yellow": (0.14, 0.74, 0.94), "mustard": (0.12, 0.72, 0.80),
    "copper": (0.05, 0.58, 0.72), "green": (0.37, 0.55, 0.58), "olive": (0.20, 0.52, 0.50), "sage": (0.30, 0.22, 0.66), "teal": (0.49, 0.62, 0.58), "turquoise": (0.48, 0.58, 0.76),
    "blue": (0.59, 0.66, 0.76), "navy": (0.62, 0.62, 0.36), "purple": (0.77, 0.52, 0.62), "lavender": (0.73, 0.28, 0.84), "mauve": (0.85, 0.28, 0.70), "pink": (0.94, 0.40, 0.92),
    "rose": (0.97, 0.42, 0.82), "glass": (0.52, 0.22, 0.84),
}  # fmt: skip
