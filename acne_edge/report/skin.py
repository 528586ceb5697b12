"""How light the skin in a photograph is."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from acne_edge.quality import is_skin

SIDE = 128  # pixels to which a photograph is reduced, as for its quality
LEAST = 0.15  # share of pixels of skin colour under which nothing is said, as for the reason `no_skin`
TONES = (  # Del Bino and Bernerd, British Journal of Dermatology 169 (s3), 2013: a group begins above this angle
    ("very_light", 55.0),
    ("light", 41.0),
    ("intermediate", 28.0),
    ("tan", 10.0),
    ("brown", -30.0),
    ("dark", -math.inf),
)
WHITE = np.array([0.95047, 1.0, 1.08883])  # D65
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])  # IEC 61966-2-1, of linear sRGB


def tone(angle: float | None) -> str | None:
    """The group of an individual typology angle, in degrees; None of an unknown one."""
    return None if angle is None else next(name for name, above in TONES if angle > above)


def typology_angle(photograph: Image.Image) -> float | None:
    """The individual typology angle of the skin, in degrees; None where too little of the picture has the colour of skin.

        ITA = arctan((L* - 50) / b*) * 180 / pi

    Chardon, Cretois and Hourseau, International Journal of Cosmetic Science 13, 1991; L* and b* of CIELAB under D65, each the
    median over pixels of skin colour, so that lesions, lips and shine do not count. It was defined for a colorimeter: in a
    photograph the light counts too.

    Args:
        photograph: sRGB.
    """
    small = photograph.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0)
    chroma = np.asarray(small.convert("YCbCr"), np.float32)
    skin = is_skin(chroma[..., 1], chroma[..., 2])
    if skin.mean() < LEAST:
        return None
    lightness, _, yellow = np.moveaxis(lab(np.asarray(small)[skin]), -1, 0)
    return math.degrees(math.atan2(float(np.median(lightness)) - 50, max(float(np.median(yellow)), 1e-6)))


def lab(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """CIELAB (CIE 15, D65) of sRGB pixels [..., 3], 0..255: L* in 0..100, a* and b* around 0."""
    value = rgb.astype(np.float64) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    x, y, z = np.moveaxis(linear @ TO_XYZ.T / WHITE, -1, 0)
    fx, fy, fz = (np.where(v > (6 / 29) ** 3, np.cbrt(v), v / (3 * (6 / 29) ** 2) + 4 / 29) for v in (x, y, z))
    return np.stack([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)], -1)
