"""Draws the golden photographs and writes the Python SDK's results for them, which the C++ tests compare with.

    python tests/cpp/golden.py FOLDER

The folder gets, for each case, `<name>.jpg`, `<name>.decoded` and `<name>.input` (raw RGB) and an entry of `cases.json`; model
files that must be refused; and manifests with the verdict on each. No photograph of a person is among them: skin is drawn.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from acne_edge import __version__, framing, image, models, preprocess, quality  # noqa: E402
from acne_edge.errors import AcneEdgeError, ManifestError, PoorQualityError  # noqa: E402
from acne_edge.evaluation.perturbations import border, letterbox, screenshot  # noqa: E402
from acne_edge.grader import ON_POOR_QUALITY, AcneGrader  # noqa: E402
from acne_edge.grading import CountCorrection  # noqa: E402
from acne_edge.manifest import CORRECTION, FAMILIARITY, MONDRIAN, SCHEMA, Manifest  # noqa: E402
from acne_edge.onnx_file import manifest_text, with_manifest  # noqa: E402
from acne_edge.positions import locate  # noqa: E402
from tests import mutants, profiles  # noqa: E402

SCALES = (None, "banded")
MUTANTS = 500
FAR = 20.0  # a threshold within which drawn pictures lie, so that they get grades


def draw(width: int, height: int, seed: int, lesions: int = 12, tone: tuple[int, int, int] = (205, 150, 125)) -> Image.Image:
    """A skin-coloured field with a gradient, grain and red spots."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    shade = 0.75 + 0.3 * x / width + 0.15 * np.sin(6 * y / height)
    picture = np.asarray(tone, np.float32) * shade[..., None] + rng.normal(0, 9, (height, width, 1))
    for _ in range(lesions):
        cx, cy, r = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.01, 0.04) * min(width, height)
        spot = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * r * r))[..., None]
        picture += spot * np.asarray((20, -60, -50), np.float32)
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))


def encode(picture: Image.Image, **options: Any) -> bytes:
    """A JPEG of the picture."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", **{"quality": 88, **options})
    return stream.getvalue()


def exif(orientation: int, order: str = "<", kind: int = 3) -> bytes:
    """An EXIF block with an orientation, in the given byte order, as a value of TIFF type 3 (short) or 4 (long)."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "L", 8)
    value = struct.pack(order + "H", orientation) + b"\0\0" if kind == 3 else struct.pack(order + "L", orientation)
    make = struct.pack(order + "HHL", 0x010F, 2, 4) + b"abc\0"
    entry = struct.pack(order + "HHL", 0x0112, kind, 1) + value
    return b"Exif\0\0" + head + struct.pack(order + "H", 2) + make + entry + struct.pack(order + "L", 0)


def xmp(orientation: int) -> bytes:
    """An XMP packet with an orientation."""
    text = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="{orientation}"/></x:xmpmeta>'
    return text.encode()


def with_marker(jpeg: bytes, marker: int, data: bytes) -> bytes:
    """The JPEG with one more application segment right behind its start."""
    return jpeg[:2] + struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data + jpeg[2:]


def photographs() -> Iterator[tuple[str, bytes]]:
    """Named JPEGs of many kinds, some of which must be refused."""
    sizes = ((256, 256), (257, 255), (300, 200), (448, 448), (449, 447), (512, 512), (513, 511), (640, 480), (1025, 1029),
             (1000, 1400), (2049, 2047), (2000, 1500), (4113, 4102), (60, 500), (32, 32), (160, 159), (128, 128),
             (256, 512))  # fmt: skip
    yield from framed()
    for seed, (width, height) in enumerate(sizes):
        yield f"size_{width}x{height}", encode(draw(width, height, seed))
    for name, subsampling in (("444", 0), ("422", 1), ("420", 2)):
        for width, height in ((511, 389), (1201, 1003), (2005, 1903)):
            yield f"subsampling_{name}_{width}", encode(draw(width, height, 40), subsampling=subsampling)
            yield f"progressive_{name}_{width}", encode(draw(width, height, 41), subsampling=subsampling, progressive=True)
    for width in (333, 1111):
        yield f"grey_{width}", encode(draw(width, width + 13, 42).convert("L"))
        yield f"cmyk_{width}", encode(draw(width, width + 13, 43).convert("CMYK"))
        yield f"rgb_{width}", encode(draw(width, width + 13, 44), keep_rgb=True)
    yield "low_quality", encode(draw(700, 900, 45), quality=10)
    yield "optimised_restarts", encode(draw(700, 900, 46), optimize=True, restart_marker_rows=2)
    yield "many_lesions", encode(draw(1200, 1300, 47, lesions=150))
    yield "dark", encode(draw(700, 900, 48, tone=(35, 25, 20)))
    yield "bright", encode(draw(700, 900, 49, tone=(255, 250, 248)))
    yield "blurred", encode(draw(30, 40, 50).resize((900, 1200), Image.Resampling.BICUBIC))
    yield "no_skin", encode(draw(700, 900, 51, tone=(60, 120, 200)))
    for name, colour in (("black", (0, 0, 0)), ("white", (255, 255, 255)), ("wall", (205, 160, 138))):
        yield f"blank_{name}", encode(Image.new("RGB", (400, 300), colour))
    grain = np.random.default_rng(0).normal(120, 10, (300, 400, 3)).clip(0, 255).astype(np.uint8)
    yield "blank_grain", encode(Image.fromarray(grain))

    for orientation in range(10):
        yield f"exif_{orientation}", encode(draw(1001, 705, 60), exif=exif(orientation))
    yield "exif_big_endian", encode(draw(640, 480, 61), exif=exif(6, ">"))
    yield "exif_long", encode(draw(640, 480, 62), exif=exif(8, kind=4))
    yield "exif_small", encode(draw(100, 67, 63), exif=exif(7))
    yield "exif_damaged", encode(draw(640, 480, 64), exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    yield "exif_not_tiff", encode(draw(640, 480, 65), exif=b"Exif\0\0nothing of the kind")
    yield "exif_cut", encode(draw(640, 480, 66), exif=exif(6)[:30])
    yield "xmp_6", with_marker(encode(draw(640, 480, 67)), 0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp(6))
    both = encode(draw(640, 480, 68), exif=exif(3))
    yield "exif_before_xmp", with_marker(both, 0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp(6))

    whole = encode(draw(900, 700, 70))
    yield "trailing_bytes", whole + b"\0" * 1000
    yield "no_end_marker", whole[:-2]
    for share in (0.02, 0.3, 0.7, 0.98):
        yield f"cut_{share}", whole[: int(len(whole) * share)]
    progressive = encode(draw(900, 700, 71), progressive=True)
    for share in (0.3, 0.98):
        yield f"cut_progressive_{share}", progressive[: int(len(progressive) * share)]
    middle = len(whole) // 2
    yield "damaged_middle", whole[:middle] + bytes(range(200)) + whole[middle + 200 :]
    yield "damaged_header", whole[:30] + b"\xff" * 40 + whole[70:]
    yield from odd_segments(encode(draw(300, 320, 75)))
    yield from scans(encode(draw(300, 320, 76), progressive=True))
    yield from tagged()
    yield "too_small", encode(draw(31, 400, 72))
    yield "huge_header", whole.replace(struct.pack(">HH", 700, 900), struct.pack(">HH", 65000, 65000), 1)
    yield "empty", b""
    yield "not_an_image", b"this is no image at all"
    yield "only_start", b"\xff\xd8\xff"


def framed() -> Iterator[tuple[str, bytes]]:
    """Photographs inside borders, letterboxes and screens, small ones and such as are decoded again at a finer scale."""
    rng = np.random.default_rng(0)
    black, white, grey = (0, 0, 0), (255, 255, 255), (128, 128, 128)
    around = {
        "black": border(0.1, black), "white": border(0.1, white), "grey_thick": border(0.7, grey), "letterbox": letterbox(16, 9),
        "pillarbox": letterbox(9, 20), "screen_light": screenshot(dark=False), "screen_dark": screenshot(dark=True),
    }  # fmt: skip
    for seed, (name, frame) in enumerate(around.items()):
        yield f"framed_{name}", encode(frame(draw(420, 500, 80 + seed), rng))
    for width, height in ((1201, 1003), (2005, 1903)):
        for share in (0.1, 0.4, 1.0):
            yield f"framed_{width}_{share}", encode(border(share, white)(draw(width, height, 90), rng))
    large = border(0.6, black)(draw(1300, 1100, 91), rng)
    for orientation in (2, 5, 6, 8):
        yield f"framed_turned_{orientation}", encode(large, exif=exif(orientation))
    yield "framed_progressive", encode(large, progressive=True)
    yield "framed_grey", encode(border(0.5, white)(draw(900, 1000, 92), rng).convert("L"))
    one_side = Image.new("RGB", (700, 900), (90, 20, 160))
    one_side.paste(draw(700, 640, 93), (0, 0))
    yield "framed_below", encode(one_side)
    yield "framed_too_thick", encode(border(3, white)(draw(200, 200, 94), rng))


def boxes(folder: Path) -> Iterator[dict[str, Any]]:
    """Small pictures on the edges of the rule, all pixels in `boxes.rgb`, and where the SDK finds a photograph in each."""
    rng = np.random.default_rng(1)
    with (folder / "boxes.rgb").open("wb") as stream:
        for number in range(400):
            width, height = (int(side) for side in rng.integers(32, 150, 2))
            grain = int(rng.integers(0, 40))
            picture = rng.integers(100 - grain, 101 + grain, (height, width, 3))
            for _ in range(int(rng.integers(0, 4))):  # bars at the sides, more or less of one colour, some with words on them
                side, thick = int(rng.integers(4)), int(rng.integers(1, 40))
                bar = (
                    (slice(0, thick),),
                    (slice(-thick, None),),
                    (slice(None), slice(0, thick)),
                    (slice(None), slice(-thick, None)),
                )
                picture[bar[side]] = rng.integers(0, 256, 3) + rng.integers(-4, 5)
            if number % 3 == 0:
                rows = rng.integers(0, height, 5)
                picture[rows, : width // 2 + int(rng.integers(-2, 3))] = rng.integers(0, 256, 3)
            for _ in range(int(rng.integers(0, 60))):
                picture[int(rng.integers(height)), int(rng.integers(width))] = rng.integers(0, 256, 3)
            pixels = picture.clip(0, 255).astype(np.uint8)
            stream.write(pixels.tobytes())
            yield {"width": width, "height": height, "box": framing.find(pixels)}


def odd_segments(jpeg: bytes) -> Iterator[tuple[str, bytes]]:
    """Whole photographs behind segments that some readers stop at, and kinds of JPEG that are not decoded."""
    segment = mutants.segment
    odd = {
        "jfif_short": segment(0xE0, b"JFIF\0"),
        "adobe_short": segment(0xEE, b"Adobe"),
        "adobe_rgb": segment(0xEE, b"Adobe" + bytes(7)),  # of YCbCr pixels, whose colours are then odd, but the same everywhere
        "exif_empty": segment(0xE1, b"Exif\0\0"),
        "exif_count_0": segment(0xE1, exif(6).replace(struct.pack("<HHL", 0x0112, 3, 1), struct.pack("<HHL", 0x0112, 3, 0))),
        "exif_cut_entry": segment(0xE1, exif(6)[:34]),
        "exif_in_parts": segment(0xE1, exif(6)[:20]) + segment(0xE1, b"Exif\0\0" + exif(6)[20:]),
        "length_0": b"\xff\xe5\0\0",
        "without_length": b"\xff\x01\xff\xd3",
        "filling": b"\xff" * 100,
        "garbage": b"\xff\xfe\0\2between segments\xff\0",
        "comment": segment(0xFE, b"\xff\xd9\xff\xda"),
        "segments_9900": segment(0xFE, b"") * 9900,
        "segments_10000": segment(0xFE, b"") * 10000,
    }
    for name, inserted in odd.items():
        yield f"odd_{name}", jpeg[:20] + inserted + jpeg[20:]  # behind the JFIF segment
    for frame in (0xC3, 0xC5, 0xCB):
        yield f"frame_{frame:x}", jpeg.replace(b"\xff\xc0", bytes((0xFF, frame)), 1)
    yield "twelve_bits", jpeg.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c", 1)
    yield "two_in_one", jpeg + jpeg
    yield "motion", jpeg + b"\0\0\0\x18ftypmp42" + bytes(5000)
    inks = encode(draw(300, 320, 73).convert("CMYK"))
    assert inks.count(b"Adobe") == 1
    transform = inks.index(b"Adobe") + 11
    yield "ycck", inks[:transform] + b"\2" + inks[transform + 1 :]


def scans(progressive: bytes) -> Iterator[tuple[str, bytes]]:
    """Progressive photographs whose last scan is repeated."""
    last, have = progressive.rindex(b"\xff\xda"), progressive.count(b"\xff\xda")
    for number in (200, 201, 5000):
        yield f"scans_{number}", progressive[:last] + progressive[last:-2] * (number - have + 1) + b"\xff\xd9"


def tagged() -> Iterator[tuple[str, bytes]]:
    """Photographs with colour profiles; of those whose name begins with icc_, Little CMS changes the pixels."""
    photograph = draw(300, 320, 74)
    for space in profiles.SPACES:
        yield f"icc_{space}", encode(photograph, icc_profile=profiles.matrix(space))
    yield "icc_grey", encode(photograph.convert("L"), icc_profile=profiles.grey(1.8))
    yield "icc_inks", encode(photograph.convert("CMYK"), icc_profile=profiles.inks())
    yield "icc_turned", encode(photograph, icc_profile=profiles.matrix("p3"), exif=exif(6))
    unused = {
        "srgb": profiles.srgb(),
        "cut": profiles.matrix("p3")[:200],
        "of_inks": profiles.inks(),
        "huge": profiles.matrix("p3") + bytes(4_000_000),
        "none": b"nothing of the kind" * 20,
    }
    for name, profile in unused.items():
        yield f"profile_{name}", encode(photograph, icc_profile=profile)
    half = mutants.segment(0xE2, b"ICC_PROFILE\0\1\2" + profiles.matrix("p3"))
    yield "profile_lacks_a_part", mutants.behind_start(encode(photograph), half)


def mutant_cases(folder: Path, min_side: int) -> Iterator[dict[str, Any]]:
    """What the SDK decodes damaged JPEGs to. They are not predicted: what pixels lead to, the photographs show."""
    for name, data in mutants.mutants(MUTANTS):
        (folder / f"{name}.jpg").write_bytes(data)
        try:
            decoded = image.decode(data, min_side)
        except AcneEdgeError as error:
            yield {"name": name, "error": error.code}
            continue
        (folder / f"{name}.decoded").write_bytes(decoded.tobytes())
        yield {"name": name, "width": decoded.shape[1], "height": decoded.shape[0]}


def expect(grader: dict[str | None, AcneGrader], name: str, data: bytes, folder: Path) -> dict[str, Any]:
    """The SDK's result for one photograph; its pixels go into separate files."""
    (folder / f"{name}.jpg").write_bytes(data)
    spec = grader[None].manifest.input
    min_side = spec.decode_scale * max(spec.height, spec.width)
    try:
        decoded = image.decode(data, min_side)
    except AcneEdgeError as error:
        return {"name": name, "error": error.code}
    cut = framing.photograph(data, min_side)
    scores = quality.assess(cut.pixels)
    (folder / f"{name}.decoded").write_bytes(decoded.tobytes())
    (folder / f"{name}.input").write_bytes(preprocess.pack([cut.pixels], spec.height, spec.width).tobytes())
    return {
        "name": name,
        "width": decoded.shape[1],
        "height": decoded.shape[0],
        "quality": {**vars(scores), "reasons": list(scores.reasons)},
        "predictions": [grader[scale].predict(data).to_dict(lesion_map=True) for scale in SCALES],
        "from_pixels": grader[None].predict(decoded).to_dict(),
        "policies": {policy: outcome(policy, scores.reasons, decoded) for policy in ON_POOR_QUALITY},
    }


@cache
def grader_with(policy: str) -> AcneGrader:
    """The shipped model under a policy for poor photographs."""
    return AcneGrader.load(on_poor_quality=policy, on_unfamiliar="warn")


def outcome(policy: str, reasons: Sequence[str], decoded: image.ImageArray) -> str | None:
    """What the SDK makes of a capture under a policy: the code of its error, or why it abstains. Good ones are all the same."""
    if not reasons:
        return None
    try:
        return grader_with(policy).predict(decoded).abstained
    except PoorQualityError as error:
        return error.code


def manifests(valid: str) -> Iterator[str]:
    """The valid manifest and variants of it, most of which break one rule."""
    yield valid
    yield from ("", "[]", "null", '{"schema":1}', "{}", valid[:-1], valid + "x")
    schema = f'"schema":"{SCHEMA}"'
    assert schema in valid
    yield valid.replace(schema, '"schema":"1.7"')
    yield valid.replace(schema, '"schema":"2.0"')
    # A reader is told first what it does not understand, whatever else it cannot read.
    requires = '"requires":["framing-1","mondrian-1","familiarity-1"]'
    assert requires in valid
    yield valid.replace(requires, '"requires":["framing-9"]').replace('"stretch"', '"letterbox"')
    yield valid.replace(f"{requires},", "").replace(schema, '"schema":"1.0"')
    yield valid[:-1] + ',"added_later":{"a":[1]}}'
    yield valid[:-1] + ',"padding":"' + "x" * 300_000 + '"}'
    yield valid[:-1] + ',"padding":"' + "\N{LATIN SMALL LETTER E WITH ACUTE}" * 200_000 + '"}'
    yield valid[:-1] + ',"bad":NaN}'
    yield valid[:-1] + ',"schema":"3.0"}'
    changes: list[tuple[str, Any]] = [
        ("input.height", 15), ("input.height", 4097), ("input.height", 224.0), ("input.height", True), ("input.height", "224"),
        ("input.height", 10**30), ("input.height", -(10**30)), ("input.height", 2**63), ("input.width", 16),
        ("input.layout", "NCHW"), ("input.dtype", "float32"), ("input.colour", "BGR"), ("input.resize", "crop"),
        ("input.filter", "nearest"), ("input.decode_scale", 0), ("input.decode_scale", 9), ("input.decode_scale", 4),
        ("input.normalised_in_graph", False), ("input.normalised_in_graph", 1), ("count_bins", 1), ("count_bins", 1025),
        ("count_bins", 51), ("count_bins", 52), ("scale.labels", ["a"]), ("scale.labels", ["a", 1]),
        ("scale.labels", [str(i) for i in range(17)]), ("scale.lower", [0, 6, 21]), ("scale.lower", [1, 6, 21, 51]),
        ("scale.lower", [0, 6, 6, 51]), ("scale.lower", [0, 6, 21, 51.0]), ("scale.lower", [0, 6, 21, True]),
        ("scale.lower", [0, 6, 21, 66]), ("scale.lower", [0, 6, 21, 2**64]), ("scale.name", None), ("decoding.count", "mode"),
        ("decoding.count", "mean"), ("decoding.map_weight", 1.01), ("decoding.map_weight", 1), ("decoding.map_weight", True),
        ("decoding.head_weight", -0.1), ("uncertainty.level", 0.49), ("uncertainty.level", 1), ("uncertainty.temperature", 0),
        ("uncertainty.temperature", 21), ("uncertainty.temperature", 20), ("uncertainty.count_quantile", 2),
        ("uncertainty.count_quantile", [0.7, 0.8, 0.9, 1]), ("uncertainty.grade_quantile", [0.7, 0.8, 0.9]),
        ("uncertainty.count_quantile", [0.7, 0.8, 0.9, True]), ("uncertainty.count_quantile", [0.7, 0.8, 0.9, 1.5]),
        ("uncertainty.count_quantile", []), ("requires", ["framing-1", "familiarity-1", "mondrian-1"]),
        ("uncertainty.grade_quantile", "0.9"), ("uncertainty.abstain_below", -1), ("uncertainty.fitted_on", 3), ("name", 1),
        ("version", None), ("licence", []), ("intended_use", {}), ("training", []), ("metrics", "none"), ("quantisation", 0),
        ("input", []), ("scale", "hayashi"), ("requires", []), ("requires", ["framing-9"]), ("requires", [""]), ("requires", "x"),
        ("positions", None), ("positions", {"rule": "cross", "threshold": 0.25}), ("positions.rule", "peaks"),
        ("positions.rule", None), ("positions.threshold", 0), ("positions.threshold", 1), ("positions.threshold", 1.01),
        ("positions.threshold", "0.5"), ("positions.fitted_on", 3),
        ("familiarity", None), ("familiarity", {"threshold": 1.5}), ("familiarity", {"fitted_on": ""}),
        ("familiarity", {"threshold": 1.5, "fitted_on": "some"}), ("familiarity", {"threshold": 0, "fitted_on": "some"}),
        ("familiarity", {"threshold": 1e7, "fitted_on": ""}), ("requires", ["familiarity-1"]),
        ("close_up", None), ("close_up", {"threshold": 0.5}), ("close_up", {"threshold": 1.5, "fitted_on": ""}),
        ("close_up", {"threshold": 0, "fitted_on": "some"}), ("close_up", {"threshold": -0.1, "fitted_on": ""}),
        ("requires", ["count-correction-1"]), ("correction", {"factor": 0.8, "power": 1.1, "fitted_on": ""}),
        ("requires", ["framing-1", "framing-9"]), ("requires", None), ("requires", {}),
        ("requires", [1]), ("requires", [None]), ("requires", ["x"] * 65),
    ]  # fmt: skip
    for path, value in changes:
        root = json.loads(valid)
        *parents, key = path.split(".")
        section = root
        for parent in parents:
            section = section[parent]
        section[key] = value
        yield json.dumps(root)
    for key in json.loads(valid):
        root = json.loads(valid)
        del root[key]
        yield json.dumps(root)
        if isinstance(section := json.loads(valid)[key], dict) and key in (
            "input",
            "scale",
            "decoding",
            "uncertainty",
            "positions",
        ):
            for inner in section:
                root = json.loads(valid)
                del root[key][inner]
                yield json.dumps(root)


def positions() -> Iterator[dict[str, Any]]:
    """Lesion maps, and what the SDK reads off them: sparse and dense, with equal cells, large ones and negative ones."""
    rng = np.random.default_rng(0)
    for number in range(150):
        height, width = (int(side) for side in rng.integers(1, 33, 2))
        lesion_map = rng.gamma(0.2, rng.uniform(0.1, 3), (height, width)).astype(np.float32)
        if number % 3 == 1:
            lesion_map = np.round(lesion_map, 1)
        elif number % 3 == 2:
            lesion_map -= np.float32(0.1)
        threshold = float(rng.uniform(0, 1)) if number % 5 else 0.0
        yield {
            "height": height,
            "width": width,
            "map": [float(value) for value in lesion_map.ravel()],
            "threshold": threshold,
            "lesions": locate(lesion_map, threshold),
        }


def verdict(text: str) -> dict[str, Any]:
    """Whether the SDK takes the manifest, and the words it refuses it with."""
    try:
        Manifest.from_json(text)
    except ManifestError as error:
        return {"text": text, "valid": False, "message": str(error)}
    return {"text": text, "valid": True, "message": ""}


def requiring(name: str, values: dict[str, Any], length: int) -> str:
    """A manifest of so many characters that requires what has this name."""
    values = {**values, "schema": SCHEMA, "requires": [name], "intended_use": "", "licence": ""}
    values["intended_use"] = "x" * (length - len(json.dumps(values, separators=(",", ":"))))
    return json.dumps(values, separators=(",", ":"))


def changed(model: bytes, **fields: object) -> bytes:
    """The model with other fields in its manifest."""
    text = manifest_text(model)
    assert text is not None
    return with_manifest(model, json.dumps({**json.loads(text), **fields}, separators=(",", ":")))


def reaching(model: bytes, threshold: float, **fields: object) -> bytes:
    """The model with another threshold of what is unfamiliar, and other `fields`."""
    return changed(model, familiarity={"threshold": threshold, "fitted_on": ""}, **fields)


def refused_models(model: bytes, manifest: Manifest) -> Iterator[tuple[str, bytes, str]]:
    """Model files that every runtime must refuse: name, bytes, error code."""

    def swap(key: bytes, value: object, other: object) -> bytes:
        """The model with another value of the same length in its manifest, so that the file stays well-formed."""
        old, new = (b'"%s":%s' % (key, json.dumps(v).encode()) for v in (value, other))
        assert model.count(old) == 1, old
        assert len(old) == len(new), old
        return model.replace(old, new)

    text = manifest_text(model)
    assert text is not None
    values = json.loads(text)
    yield "schema_2", swap(b"schema", values["schema"], "2" + values["schema"][1:]), "manifest_invalid"
    yield "requires", model.replace(text.encode(), requiring("framing-9", values, len(text)).encode()), "manifest_invalid"
    yield "no_manifest", model.replace(b"acne_edge.manifest", b"acne_edge.manifes_"), "manifest_invalid"
    yield "other_input", swap(b"height", manifest.input.height, manifest.input.height + 1), "model_error"
    yield "other_bins", swap(b"count_bins", manifest.count_bins, manifest.count_bins + 1), "model_error"
    # Of a message that stands twice in a protocol buffer, the parts are merged: one more weight, which lies in another file.
    location = b"\x6a\x17\x0a\x08location\x12\x0bweights.bin"  # external_data of a TensorProto
    graph = b"\x2a" + bytes([len(location)]) + location
    yield "external_data", model + b"\x3a" + bytes([len(graph)]) + graph, "model_error"
    yield "cut", model[: len(model) // 2], "model_error"
    yield "empty", b"", "model_error"
    yield "text", b"not a model", "model_error"


def whole(model: bytes, folder: Path) -> dict[str, Any]:
    """What the shipped network makes of a framed photograph if its file, `whole.onnx`, does not require that it be cut."""
    path = folder / "whole.onnx"
    path.write_bytes(changed(model, requires=[MONDRIAN, FAMILIARITY]))
    with AcneGrader.load(path) as grader:
        return grader.predict(folder / "framed_white.jpg").to_dict()


def adapted(model: bytes, folder: Path) -> dict[str, Any]:
    """What the shipped network makes of a photograph if its file, `adapted.onnx`, corrects counts for another camera."""
    text = manifest_text(model)
    assert text is not None
    manifest = Manifest.from_json(text)
    correction = CountCorrection(1.4, 0.9, "another camera")
    new = replace(manifest, correction=correction, requires=(*manifest.requires, CORRECTION), pairs=None)
    path = folder / "adapted.onnx"
    path.write_bytes(with_manifest(model, new.to_json()))
    with AcneGrader.load(path) as grader:
        return grader.predict(folder / "framed_white.jpg").to_dict()


def main(folder: Path) -> None:
    """Write everything into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    shipped = models.load_model()
    path, model = folder / "model.onnx", reaching(shipped.data, FAR)
    path.write_bytes(model)
    graders = {scale: AcneGrader.load(path, scale=scale) for scale in SCALES}
    cases = [expect(graders, name, data, folder) for name, data in photographs()]
    spec = graders[None].manifest.input
    damaged = list(mutant_cases(folder, spec.decode_scale * max(spec.height, spec.width)))
    middle = FAR * median(case["predictions"][0]["unfamiliarity"] for case in cases[::6] if "error" not in case)
    bare = {name: value for name, value in json.loads(manifest_text(model) or "").items() if name != "familiarity"}
    (folder / "silent.onnx").write_bytes(with_manifest(model, json.dumps({**bare, "requires": [framing.RULE, MONDRIAN]})))
    # What it knows is a close-up, and of what it does not know nothing is told.
    (folder / "telling.onnx").write_bytes(reaching(model, middle, close_up={"threshold": 0, "fitted_on": ""}))
    with AcneGrader.load(folder / "telling.onnx") as teller:
        told = [
            {"name": case["name"], "prediction": teller.predict((folder / f"{case['name']}.jpg").read_bytes()).to_dict()}
            for case in cases[::6]
            if "error" not in case
        ]
    refused = []
    for name, data, code in refused_models(model, graders[None].manifest):
        (folder / f"refused_{name}.onnx").write_bytes(data)
        try:
            AcneGrader.load(folder / f"refused_{name}.onnx")
        except AcneEdgeError as error:
            if error.code != code:
                raise SystemExit(f"{name}: refused as {error.code}, not {code}") from error
            refused.append({"file": f"refused_{name}.onnx", "code": code, "message": str(error)})
        else:
            raise AssertionError(f"the SDK takes the model {name}")
    valid = graders[None].manifest.to_json()
    golden = {
        "version": __version__,
        "machine": platform.machine(),
        "model_sha256": hashlib.sha256(model).hexdigest(),
        "shipped_sha256": shipped.sha256,
        "model_manifest": manifest_text(model),  # as it stands in the file
        "input": vars(spec),
        "scales": SCALES,
        "cases": cases,
        "told": told,
        "mutants": damaged,
        "refused_models": refused,
        "positions": list(positions()),
        "boxes": list(boxes(folder)),
        "whole": whole(model, folder),
        "adapted": adapted(model, folder),
        "manifests": [verdict(text) for text in manifests(valid)],
    }
    (folder / "cases.json").write_text(json.dumps(golden))
    errors = sum("error" in case for case in cases)
    print(f"{len(cases)} photographs ({errors} refused), {len(golden['manifests'])} manifests, {len(refused)} refused models")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
