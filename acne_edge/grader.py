"""AcneGrader: takes a photograph through the seven stages from file to result."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING
from weakref import WeakSet

import numpy as np
from PIL import Image

from acne_edge import framing, preprocess, quality
from acne_edge import image as images
from acne_edge.cpus import available_cpus
from acne_edge.errors import (
    AcneEdgeError,
    BackendError,
    ImageDecodeError,
    ImageNotFoundError,
    ModelError,
    PoorQualityError,
    UsageError,
)
from acne_edge.grading import SeverityScale, describe, find_scale, interpret
from acne_edge.loader import ModelLoader
from acne_edge.parallel import in_order
from acne_edge.positions import locate, moved
from acne_edge.prediction import CountInterval, Failure, Grade, ImageSize, ModelInfo, Prediction

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from threading import Event
    from types import TracebackType

    from acne_edge.backends.base import Outputs
    from acne_edge.image import ImageArray, ImageSource
    from acne_edge.manifest import Manifest
    from acne_edge.sources.camera import Camera, StreamResult

ON_POOR_QUALITY = ("warn", "abstain", "fail")
ON_UNFAMILIAR = ("abstain", "warn")
UNFAMILIAR_VARIABLE = "ACNE_EDGE_ON_UNFAMILIAR"  # what to do where nobody says it
STAGES = ("decode", "framing", "quality", "preprocess", "inference", "interpretation")


class AcneGrader:
    """Counts lesions and grades severity. Make one with `AcneGrader.load`; use it as a context manager or `close` it.

    Many threads may use one grader at once. After a fork, the child loads the model again on first use, because the runtime's
    threads do not survive a fork. A fork waits for models that are still loading.
    """

    def __init__(
        self,
        loader: ModelLoader,
        scale: str | None = None,
        on_poor_quality: str = "warn",
        on_unfamiliar: str | None = None,
    ) -> None:
        if on_poor_quality not in ON_POOR_QUALITY:
            raise UsageError(f"on_poor_quality is {on_poor_quality!r}; choose one of: {', '.join(ON_POOR_QUALITY)}")
        self._on_unfamiliar = _unfamiliar_policy(on_unfamiliar)
        self._wanted_scale = find_scale(scale) if scale else None
        self._on_poor_quality = on_poor_quality
        self._loader = loader
        self._many: ModelLoader | None = None  # one thread a run, for batches
        self._forked = False
        self._lock = Lock()
        self._closed = False
        _graders.add(self)

    @classmethod
    def load(
        cls,
        model: str | os.PathLike[str] | None = None,
        *,
        backend: str = "auto",
        threads: int = 0,
        scale: str | None = None,
        on_poor_quality: str = "warn",
        on_unfamiliar: str | None = None,
        strict: bool = False,
        background: bool = False,
    ) -> AcneGrader:
        """Load a shipped model by name (None: the default) or a model file by path.

        Args:
            model: name or path.
            backend: `auto`, `onnxruntime`, `openvino` or `tensorrt` (the last two: extras of that name).
            threads: threads inside an operator; 0 lets the runtime choose.
            scale: severity scale; None is the one the model was trained on.
            on_poor_quality: how to treat a poor photograph: `warn` gives reason codes in `Prediction.quality`, `abstain` also
                sets `Prediction.abstained`, `fail` raises PoorQualityError before the network runs.
            on_unfamiliar: how to treat what looks like nothing that was learned, a drawing for example: `abstain` sets
                `Prediction.abstained`, `warn` does not, and `Prediction.unfamiliarity` tells it alone. None is what the
                environment variable ACNE_EDGE_ON_UNFAMILIAR says, or else `abstain`.
            strict: raise BackendError if the model would run on another device than the backend's own, or if `auto` would
                leave a GPU unused.
            background: return at once and load in a thread; the first use waits, and raises any error from loading.

        Raises:
            ModelError: the file cannot be read, is not an acne-edge model, or fails its integrity check.
            UsageError: an unknown backend, scale or policy, or a negative number of threads.
            BackendError: the runtime cannot run the model, or `strict` refuses it.
            MissingExtraError: the backend is not installed.
        """
        grader = cls(ModelLoader(model, backend, threads, strict), scale, on_poor_quality, on_unfamiliar)
        if not background:
            grader._loader.backend()
        return grader

    @property
    def manifest(self) -> Manifest:
        """The model's description."""
        return self._loader.manifest()

    @property
    def scale(self) -> SeverityScale:
        """The severity scale of the grades."""
        return self._wanted_scale or self.manifest.scale

    @property
    def model(self) -> ModelInfo:
        """The model and the runtime and device that it really uses."""
        backend = self._loader.backend()
        return ModelInfo(backend.manifest.name, backend.manifest.version, self._loader.sha256, backend.name)

    @property
    def settings(self) -> dict[str, str | int | bool | None]:
        """What `load` was asked for: `backend`, `threads`, `strict`, `scale` (None: the model's own), and the two policies."""
        scale = self._wanted_scale.name if self._wanted_scale else None
        return {
            **self._loader.settings,
            "scale": scale,
            "on_poor_quality": self._on_poor_quality,
            "on_unfamiliar": self._on_unfamiliar,
        }

    @property
    def backend_reason(self) -> str:
        """Why this backend was chosen."""
        self._loader.backend()
        return self._loader.reason

    def predict(self, source: ImageSource) -> Prediction:
        """Predict one photograph.

        Args:
            source: path, encoded bytes, uint8 RGB array [H, W, 3] (0..255) or PIL image; `acne_edge.image.read` has the details.
                EXIF orientation and colour profiles are honoured.

        Raises:
            ImageError: the image cannot be used; the subclass says why, and the message names the path, if there is one.
            MissingExtraError: the photograph is HEIC and the extra `heif` is not installed.
            ModelError: the model's outputs are not finite.
            BackendError: the grader is closed, or the runtime failed.
        """
        return self._predict(source, self._current())

    def _predict(self, source: ImageSource, loader: ModelLoader) -> Prediction:
        manifest = loader.manifest()
        spec = manifest.input
        clock = _Clock()
        min_side = spec.decode_scale * max(spec.height, spec.width)
        decoded = images.photograph(source, min_side)
        clock.lap("decode")
        photograph = framing.cut(source, decoded, min_side) if manifest.is_framed else framing.uncut(decoded)
        clock.lap("framing")
        small = preprocess.resize(photograph.pixels, quality.SIDE, quality.SIDE)
        capture = quality.assess(photograph.pixels, small)
        clock.lap("quality")
        if capture.reasons and self._on_poor_quality == "fail":
            with images.naming(source):
                raise PoorQualityError(f"poor photograph: {', '.join(capture.reasons)}; take the photograph again")
        is_input = (spec.height, spec.width) == small.shape[:2]
        batch = small[None] if is_input else preprocess.pack([photograph.pixels], spec.height, spec.width)
        clock.lap("preprocess")
        backend = loader.backend()
        clock.resume()  # waiting for a model that is still loading is not inference time
        outputs = backend.run(batch)
        clock.lap("inference")
        lesion_map = outputs.lesion_map[0]
        result = interpret(
            outputs.grade_probs[0].astype(np.float64),
            outputs.count_probs[0].astype(np.float64),
            float(lesion_map.sum(dtype=np.float64)),
            native=manifest.scale,
            scale=self.scale,
            decoding=manifest.decoding,
            uncertainty=manifest.uncertainty,
            correction=manifest.correction,
            unfamiliarity=None if outputs.unfamiliarity is None else float(outputs.unfamiliarity[0]),
            familiarity=manifest.familiarity,
            on_unfamiliar=self._on_unfamiliar,
        )
        image = ImageSize(photograph.width, photograph.height, photograph.crop)
        lesions = locate(lesion_map, manifest.positions.threshold)
        if image.crop is not None:
            lesions = moved(lesions, image.crop, image.width, image.height)
        abstained = self._abstained(capture.reasons) or result.abstained
        labels = self.scale.labels
        clock.lap("interpretation")
        return Prediction(
            count=result.count,
            count_interval=CountInterval(manifest.uncertainty.level, *result.interval),
            grade=Grade(result.grade, labels[result.grade], describe(labels, result.grade_set, result.count, abstained)),
            grade_probs=tuple(float(p) for p in result.grade_probs),
            grade_set=result.grade_set,
            scale=self.scale.name,
            quality=_with_view(capture, outputs, manifest, result.unfamiliarity),
            abstained=abstained,
            unfamiliarity=result.unfamiliarity,
            model=self.model,
            timings=clock.finish(),
            image=image,
            lesions=lesions,
            path=os.fspath(source) if isinstance(source, (str, os.PathLike)) else None,
            lesion_map=lesion_map,
        )

    def _abstained(self, reasons: tuple[str, ...]) -> str | None:
        """The reason for giving no grade that the photograph's quality gives, or None."""
        if quality.BLANK in reasons:
            return quality.BLANK
        return "poor_quality" if reasons and self._on_poor_quality == "abstain" else None

    def __call__(self, source: ImageSource) -> Prediction:
        """The same as `predict`."""
        return self.predict(source)

    def predict_many(
        self, sources: Iterable[ImageSource] | str | os.PathLike[str], workers: int = 0
    ) -> Iterator[Prediction | Failure]:
        """Predict a batch of any length, in order; an input that fails yields a `Failure`, and the batch continues.

        `sources` are photographs, as for `predict`, or the path of a folder: all photographs anywhere under it, sorted.
        Each of `workers` threads (0: one per processor that this process may use) takes one photograph at a time through all
        stages. A batch of more than two per worker uses a second session with one thread per photograph: sharing each operator
        among threads makes one photograph fast and a batch slow. Results come in order, each as soon as it is ready. At most
        four inputs per worker are read ahead, so memory does not grow with the batch. Closing the iterator cancels the rest.

        Raises:
            ImageNotFoundError: the folder holds no photograph.
            UsageError: `sources` is a single photograph; use `predict`.
            BackendError: the grader is closed.
        """
        self._current()
        return self._predict_many(each_photograph(sources), workers)

    def _predict_many(self, sources: Iterable[ImageSource], workers: int) -> Iterator[Prediction | Failure]:
        workers = workers or available_cpus()
        rest = iter(sources)
        head = list(islice(rest, 2 * workers + 1))
        if len(head) < 2:
            yield from map(self.try_predict, head)
            return
        loader = self._for_many() if len(head) > 2 * workers else self._current()
        yield from in_order(partial(self._try_predict, loader=loader), chain(head, rest), workers)

    def stream(
        self,
        source: str | int | os.PathLike[str] | Camera,
        *,
        smoothing: float = 2.0,
        stop: Event | None = None,
    ) -> Iterator[StreamResult]:
        """Predict frame by frame: the newest frame of a camera or network stream, every frame of a video file.

        If a live source goes away, the stream waits for it, and the logger `acne_edge` says so. Frames of poor quality are
        predicted (or, with `fail`, become failures), but do not enter the smoothed values; nor do unfamiliar ones.

        Args:
            source: camera number, URL, device, path of a video file, or a `Camera`.
            smoothing: time constant of the filter over counts and grade probabilities, in seconds; 0 does not smooth.
            stop: set it to end the stream; without one, close the iterator.

        Raises:
            MissingExtraError: the extra `camera` is not installed.
            ImageDecodeError: the file is not a video.
            BackendError: the grader is closed.
        """
        from threading import Event

        from acne_edge.sources.camera import Camera, stream

        self._current()
        camera = source if isinstance(source, Camera) else Camera(source)
        return stream(self, camera, smoothing, stop or Event())

    def try_predict(self, source: ImageSource) -> Prediction | Failure:
        """As `predict`, but returns a `Failure` instead of raising for an input that cannot be used."""
        return self._try_predict(source, self._current())

    def _try_predict(self, source: ImageSource, loader: ModelLoader) -> Prediction | Failure:
        path = os.fspath(source) if isinstance(source, (str, os.PathLike)) else None
        try:
            return self._predict(source, loader)
        except ModelError:  # another photograph would not help
            raise
        except AcneEdgeError as error:
            self._current()  # these raise if the grader or the model is at fault, not the image
            loader.backend()
            return Failure(path, error)
        except MemoryError:
            return Failure(path, ImageDecodeError("not enough memory for this image"))

    def infer(self, images: ImageArray) -> Outputs:
        """Run the network alone on packed images, uint8 [N, H, W, 3] of the manifest's size. Raises BackendError."""
        return self._current().backend().run(images)

    def warmup(self, runs: int = 2) -> None:
        """Run the network on a blank image, so that the first real prediction is not slower than the others."""
        spec = self._current().manifest().input
        for _ in range(runs):
            self.infer(np.zeros((1, spec.height, spec.width, 3), np.uint8))

    def close(self) -> None:
        """Free the model; later calls raise BackendError. Running predictions finish normally. Closing twice is fine."""
        with self._lock:
            self._closed = True
            for loader in (self._loader, self._many):
                if loader is not None and not self._forked:
                    loader.close()

    def _current(self) -> ModelLoader:
        """The model, loaded again after a fork."""
        if self._closed:
            raise BackendError("the grader is closed")
        if self._forked:
            with self._lock:
                if self._forked:
                    self._loader, self._many, self._forked = self._loader.clone(), None, False
        return self._loader

    def _settle(self) -> None:
        for loader in (self._loader, self._many):
            if loader is not None:
                loader.settle()

    def _after_fork(self) -> None:
        """In the child: the runtime's threads are gone, and one of them may have held the lock."""
        for loader in (self._loader, self._many):
            if loader is not None:
                loader.detach()
        self._forked, self._lock = True, Lock()

    def _for_many(self) -> ModelLoader:
        """The model with one thread per run, if the caller can choose that for this runtime."""
        loader = self._current()
        if not loader.backend().name.startswith("onnxruntime") or loader.threads == 1:
            return loader
        with self._lock:
            if self._many is None:
                self._many = loader.clone(threads=1)
            return self._many

    def __enter__(self) -> AcneGrader:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def each_photograph(sources: Iterable[ImageSource] | str | os.PathLike[str]) -> Iterable[ImageSource]:
    """The photographs to predict one by one; see `AcneGrader.predict_many`."""
    if isinstance(sources, (str, os.PathLike)):
        if not os.path.isdir(sources):
            return [sources]
        from acne_edge.sources.paths import photographs

        found = photographs(sources)
        if not found:
            raise ImageNotFoundError(f"{os.fspath(sources)}: the folder holds no photographs")
        return found
    if isinstance(sources, (bytes, bytearray, memoryview, Image.Image)) or (isinstance(sources, np.ndarray) and sources.ndim < 4):
        raise UsageError("predict_many takes a list of photographs or a folder; for one photograph, use predict")
    return sources


class _Clock:
    """Measures milliseconds by stage."""

    def __init__(self) -> None:
        self._laps: dict[str, float] = {}
        self._last = perf_counter()

    def lap(self, stage: str) -> None:
        """Count the time since the last lap as this stage's."""
        now = perf_counter()
        self._laps[stage] = (now - self._last) * 1e3
        self._last = now

    def resume(self) -> None:
        """Forget the time since the last lap."""
        self._last = perf_counter()

    def finish(self) -> dict[str, float]:
        """Milliseconds by stage, and their sum as `total`."""
        return {**self._laps, "total": sum(self._laps.values())}


_graders: WeakSet[AcneGrader] = WeakSet()


def _before_fork() -> None:
    """Wait until loading ends: a child process cannot finish what another thread of its parent has begun to import or load."""
    for grader in list(_graders):
        grader._settle()


def _after_fork() -> None:
    for grader in list(_graders):
        grader._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork)


def _with_view(capture: quality.Quality, outputs: Outputs, manifest: Manifest, unfamiliarity: float | None) -> quality.Quality:
    """The quality, with the reason `close_up` where the model tells so; nothing is told of what shows no skin that it knows."""
    if manifest.close_up is None or outputs.close_up is None or quality.BLANK in capture.reasons or (unfamiliarity or 0) > 1:
        return capture
    if not float(outputs.close_up[0]) >= manifest.close_up.threshold:
        return capture
    return replace(capture, reasons=(*capture.reasons, quality.CLOSE_UP))


def _unfamiliar_policy(wanted: str | None) -> str:
    """The policy that was asked for, or that of the environment. Raises UsageError for an unknown one."""
    policy = os.environ.get(UNFAMILIAR_VARIABLE, ON_UNFAMILIAR[0]) if wanted is None else wanted
    if policy not in ON_UNFAMILIAR:
        name = UNFAMILIAR_VARIABLE if wanted is None else "on_unfamiliar"
        raise UsageError(f"{name} is {policy!r}; choose one of: {', '.join(ON_UNFAMILIAR)}")
    return policy
