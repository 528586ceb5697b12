"""Colour profiles that the tests make for themselves: matrices and curves of ICC.1:2010, from published primaries."""

from __future__ import annotations

import struct

# Chromaticities of red, green, blue and the white point, and the exponent of the curves.
D65, D50 = (0.3127, 0.3290), (0.3457, 0.3585)
SPACES = {
    "p3": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65, 2.2),
    "adobe": ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060), D65, 2.19922),
    "rec2020": ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), D65, 2.4),
    "prophoto": ((0.734699, 0.265301), (0.159597, 0.840403), (0.036598, 0.000105), D50, 1.8),
}
BRADFORD = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))
PCS_WHITE = (0.9642, 1.0, 0.8249)  # D50, as ICC profiles have it


def matrix(space: str) -> bytes:
    """An RGB profile of three primaries and a gamma."""
    *corners, exponent = SPACES[space]
    primaries = adapted(*corners)
    curve = b"curv" + struct.pack(">LLH", 0, 1, round(exponent * 256)) + bytes(2)
    tags = dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), map(xyz, primaries), strict=True))
    return profile(b"RGB ", {**tags, b"rTRC": curve, b"gTRC": curve, b"bTRC": curve})


def srgb(points: int = 1024) -> bytes:
    """sRGB as cameras write it: its primaries, and its curve as a table."""
    line = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (i / (points - 1) for i in range(points))]
    table = b"curv" + struct.pack(f">LL{points}H", 0, points, *(round(v * 65535) for v in line))
    primaries = adapted((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), D65)
    tags = dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), map(xyz, primaries), strict=True))
    return profile(b"RGB ", {**tags, b"rTRC": table, b"gTRC": table, b"bTRC": table})


def grey(exponent: float = 1.0) -> bytes:
    """A profile of grey pixels."""
    return profile(b"GRAY", {b"kTRC": b"curv" + struct.pack(">LLH", 0, 1, round(exponent * 256)) + bytes(2)})


def inks() -> bytes:
    """A profile of four inks: a table of 2 points an axis, in which each ink takes its complement from white, and black all."""
    corners = []
    for index in range(16):
        c, m, y, k = (index >> shift & 1 for shift in (3, 2, 1, 0))
        light = 65280 * (3 - c - m - y) // 3 * (1 - k)  # L* of 100 is FF00 in the table of 16 bits
        corners.append(struct.pack(">3H", light, 0x8000 - 0x2000 * (c - m) * (1 - k), 0x8000 + 0x2000 * (y - c) * (1 - k)))
    identity = struct.pack(">9l", *(65536 * (i % 4 == 0) for i in range(9)))
    ramp = struct.pack(">2H", 0, 65535)
    head = b"mft2" + bytes(4) + bytes((4, 3, 2, 0)) + identity + struct.pack(">2H", 2, 2)
    return profile(b"CMYK", {b"A2B0": head + 4 * ramp + b"".join(corners) + 3 * ramp}, kind=b"prtr", pcs=b"Lab ")


def profile(space: bytes, tags: dict[bytes, bytes], kind: bytes = b"mntr", pcs: bytes = b"XYZ ") -> bytes:
    """A profile of version 2.4 with those tags and the ones that every profile has."""
    text = b"desc" + struct.pack(">LL", 0, 5) + b"test\0" + bytes(78)
    tags = {b"desc": text, b"cprt": b"text" + bytes(4) + b"none\0", b"wtpt": xyz(PCS_WHITE), **tags}
    table, body = struct.pack(">L", len(tags)), b""
    for name, data in tags.items():
        table += struct.pack(">4sLL", name, 132 + 12 * len(tags) + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">4sL4s4s4s", b"none", 0x02400000, kind, space, pcs) + struct.pack(">6H", 2024, 1, 1, 0, 0, 0)
    head += b"acsp" + bytes(28) + b"".join(struct.pack(">l", round(v * 65536)) for v in PCS_WHITE)
    whole = struct.pack(">L", 128 + len(table) + len(body)) + head
    return whole + bytes(128 - len(whole)) + table + body


def xyz(values: tuple[float, ...]) -> bytes:
    """A tag of three numbers."""
    return b"XYZ " + bytes(4) + struct.pack(">3l", *(round(v * 65536) for v in values))


def adapted(
    red: tuple[float, float], green: tuple[float, float], blue: tuple[float, float], white: tuple[float, float]
) -> list[tuple[float, ...]]:
    """XYZ of the primaries for which the white is (x, y), adapted to D50 by Bradford's matrix."""
    import numpy as np

    points = np.array([(x / y, 1, (1 - x - y) / y) for x, y in (red, green, blue)]).T
    source = np.array((white[0] / white[1], 1, (1 - sum(white)) / white[1]))
    cone = np.array(BRADFORD)
    adaptation = np.linalg.inv(cone) @ np.diag(cone @ np.array(PCS_WHITE) / (cone @ source)) @ cone
    return [tuple(map(float, column)) for column in (adaptation @ (points * np.linalg.solve(points, source))).T]
