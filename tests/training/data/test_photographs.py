from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from acne_edge import AcneGrader, preprocess
from acne_edge.bench.photograph import drawn_photograph
from acne_edge.errors import ImageDecodeError
from acne_edge.image import decode
from acne_edge.training.data import Sample, load_images, noise_filter, read_samples
from acne_edge.training.dataset import Dataset
from tests import drawing


# At 2200 pixels the network's input and the size at which training keeps photographs ask for different DCT scales.
@pytest.fixture(scope="module", params=[(3112, 3456), (2200, 2200)], ids=str)
def photograph(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    path = tmp_path_factory.mktemp("photographs") / "drawn.jpg"
    path.write_bytes(drawn_photograph(*request.param))
    return Sample(path.name, path, 1, 10)


def test_at_the_networks_size_training_has_the_pixels_that_a_device_gives_to_the_network(
    photograph: Sample, grader: AcneGrader, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[np.ndarray] = []
    backend = grader._loader.backend()
    run = backend.run
    monkeypatch.setattr(backend, "run", lambda images: seen.append(images) or run(images))
    grader.predict(photograph.path)
    np.testing.assert_array_equal(load_images([photograph], grader.manifest.input.height), seen[0])


def test_what_stands_around_a_photograph_training_sees_whole_as_boxes_are_of_it(tmp_path: Path) -> None:
    picture = np.full((300, 300, 3), 255, np.uint8)
    picture[60:240, 60:240] = drawing.face(5, 0, 180, 180)
    path = tmp_path / "framed.png"
    path.write_bytes(drawing.encode(picture))
    np.testing.assert_array_equal(load_images([Sample(path.name, path, 0, 5)], 64)[0], preprocess.resize(picture, 64, 64))


def test_what_training_keeps_larger_comes_from_the_photograph_that_a_device_decodes(
    photograph: Sample, grader: AcneGrader
) -> None:
    size, kept = grader.manifest.input.height, 288
    decoded = decode(photograph.path, min_side=grader.manifest.input.decode_scale * size)
    images = Dataset([photograph], kept, 1, torch.device("cpu"), input_size=size).images
    np.testing.assert_array_equal(images[0].numpy(), preprocess.resize(decoded, kept, kept))
    assert decoded.shape[0] < 1000, "the drawn photograph is one that a device does not decode in full"


def test_acne04_at_640_pixels_is_decoded_in_full_as_ever(acne04: Path) -> None:
    samples = read_samples(acne04, "NNEW_trainval_0.txt")
    sizes = []
    for s in samples:
        with Image.open(s.path) as image:
            sizes.append(min(image.size))
    assert max(sizes) / 2 < preprocess.DECODE_SCALE * 256, "no photograph has a smaller scale that is large enough"
    some = samples[::97]
    in_full = [preprocess.resize(decode(s.path), 256, 256) for s in some]
    np.testing.assert_array_equal(load_images(some, 256), np.stack(in_full))


def test_a_photograph_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    sample = Sample("a.jpg", path, 0, 1)
    path.write_bytes(drawing.encode(drawing.face(1, 0, 48, 48), "JPEG"))
    before = load_images([sample], 32)
    path.write_bytes(drawing.encode(drawing.face(60, 1, 48, 48), "JPEG"))
    assert not np.array_equal(load_images([sample], 32), before)


def test_a_photograph_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no image")
    with pytest.raises(ImageDecodeError, match="not an image") as refused:
        load_images([Sample("a.jpg", tmp_path / "a.jpg", 0, 1)], 32)
    assert str(refused.value).count("a.jpg: ") == 1


@pytest.mark.parametrize("name", ["median", "bilateral"])
def test_a_noise_filter_removes_a_speck_and_keeps_an_edge(name: str) -> None:
    pytest.importorskip("cv2")
    image = np.zeros((16, 16, 3), np.uint8)
    image[:, 8:] = 200
    speckled = image.copy()
    speckled[4, 4] += 12
    clean = noise_filter(name)(speckled)
    assert clean[4, 4].max() < 6
    np.testing.assert_allclose(clean[10:, :7], 0)
    np.testing.assert_allclose(clean[10:, 9:], 200)
    assert noise_filter("none")(image) is image
