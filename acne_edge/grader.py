"""AcneGrader: walks a photograph through the six stages."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from time import perf_counter
from types import TracebackType

import numpy as np

from acne_edge import image as images
from acne_edge import models, preprocess, quality
from acne_edge.backends import load_backend
from acne_edge.backends.base import Backend, Outputs
from acne_edge.errors import AcneEdgeError, BackendError, ImageDecodeError, PoorQualityError, UsageError
from acne_edge.grading import SeverityScale, find_scale, interpret
from acne_edge.image import ImageArray, ImageSource
from acne_edge.manifest import Manifest
from acne_edge.prediction import CountInterval, Failure, Grade, ModelInfo, Prediction

ON_POOR_QUALITY = ("warn", "abstain", "fail")
STAGES = ("decode", "quality", "preprocess", "inference", "interpretation")


class AcneGrader:
    """Counts lesions and grades severity. Make one with `AcneGrader.load`; use it as a context manager or `close` it.

    One grader may be used by many threads at once.
    """

    def __init__(
        self,
        model: models.ModelFile,
        backend: Backend,
        scale: SeverityScale | None = None,
        on_poor_quality: str = "warn",
        backend_reason: str = "given",
    ) -> None:
        self._backend = backend
        self._on_poor_quality = on_poor_quality
        self.backend_reason = backend_reason  # why this backend was chosen
        self._closed = False
        self.manifest: Manifest = backend.manifest
        self.scale = scale or self.manifest.scale
        self.model = ModelInfo(self.manifest.name, self.manifest.version, model.sha256, backend.name)

    @classmethod
    def load(
        cls,
        model: str | os.PathLike[str] | None = None,
        *,
        backend: str = "auto",
        threads: int = 0,
        scale: str | None = None,
        on_poor_quality: str = "warn",
    ) -> AcneGrader:
        """Load a shipped model by name (None: the default) or a model file by path.

        Args:
            model: name or path.
            backend: `auto`, `onnxruntime`, `openvino` or `tensorrt` (the last two: extras of that name).
            threads: threads inside an operator; 0 lets the runtime choose.
            scale: severity scale; None is the one the model was trained on.
            on_poor_quality: what a poor capture leads to: `warn` gives reason codes in `Prediction.quality`, `abstain` also sets
                `Prediction.abstained`, `fail` raises PoorQualityError before the network runs.

        Raises:
            ModelError: the file cannot be read, is no model of acne-edge, or fails its integrity check.
            UsageError: an unknown backend, scale or policy, or a negative number of threads.
            MissingExtraError: the backend is not installed.
        """
        if threads < 0:
            raise UsageError(f"threads is {threads}; expected 0 (automatic) or more")
        if on_poor_quality not in ON_POOR_QUALITY:
            raise UsageError(f"on_poor_quality is {on_poor_quality!r}; choose one of: {', '.join(ON_POOR_QUALITY)}")
        wanted = find_scale(scale) if scale else None
        file = models.load_model(model)
        loaded, reason = load_backend(backend, file.data, threads)
        return cls(file, loaded, wanted, on_poor_quality, reason)

    def predict(self, source: ImageSource) -> Prediction:
        """Predict one photograph.

        Args:
            source: path, encoded bytes, uint8 RGB array [H, W, 3] (0..255) or PIL image. EXIF orientation is honoured.

        Raises:
            ImageError: the image cannot be used; the subclass says why.
            BackendError: the grader is closed, or the runtime failed.
        """
        self._check_open()
        spec = self.manifest.input
        clock = _Clock()
        rgb = images.decode(source, min_side=spec.decode_scale * max(spec.height, spec.width))
        clock.lap("decode")
        capture = quality.assess(rgb)
        clock.lap("quality")
        if capture.reasons and self._on_poor_quality == "fail":
            raise PoorQualityError(f"poor capture: {', '.join(capture.reasons)}; take the photograph again")
        batch = preprocess.pack([rgb], spec.height, spec.width)
        clock.lap("preprocess")
        outputs = self._backend.run(batch)
        clock.lap("inference")
        lesion_map = outputs.lesion_map[0]
        result = interpret(
            outputs.grade_probs[0].astype(np.float64),
            outputs.count_probs[0].astype(np.float64),
            float(lesion_map.sum(dtype=np.float64)),
            native=self.manifest.scale,
            scale=self.scale,
            decoding=self.manifest.decoding,
            uncertainty=self.manifest.uncertainty,
        )
        clock.lap("interpretation")
        return Prediction(
            count=result.count,
            count_interval=CountInterval(self.manifest.uncertainty.level, *result.interval),
            grade=Grade(result.grade, self.scale.labels[result.grade]),
            grade_probs=tuple(float(p) for p in result.grade_probs),
            grade_set=result.grade_set,
            scale=self.scale.name,
            quality=capture.to_dict(),
            abstained="poor_quality" if capture.reasons and self._on_poor_quality == "abstain" else result.abstained,
            model=self.model,
            timings=clock.finish(),
            path=os.fspath(source) if isinstance(source, (str, os.PathLike)) else None,
            lesion_map=lesion_map,
        )

    def predict_many(self, sources: Iterable[ImageSource], workers: int = 0) -> Iterator[Prediction | Failure]:
        """Predict a batch of any length, in order; an input that fails yields a `Failure` and the batch goes on.

        Decoding and inference overlap in `workers` threads (0: one a processor). At most four inputs a worker are read
        ahead, so memory does not grow with the batch. Closing the iterator cancels what has not begun.
        """
        self._check_open()
        workers = workers or os.cpu_count() or 1
        pending: deque[Future[Prediction | Failure]] = deque()
        with ThreadPoolExecutor(workers, thread_name_prefix="acne-edge") as pool:
            try:
                for source in sources:
                    pending.append(pool.submit(self.attempt, source))
                    if len(pending) >= 4 * workers:
                        yield pending.popleft().result()
                while pending:
                    yield pending.popleft().result()
            finally:
                for future in pending:
                    future.cancel()

    def attempt(self, source: ImageSource) -> Prediction | Failure:
        """`predict`, with a `Failure` instead of an exception for an input that cannot be used."""
        path = os.fspath(source) if isinstance(source, (str, os.PathLike)) else None
        try:
            return self.predict(source)
        except AcneEdgeError as error:
            return Failure(path, error)
        except MemoryError:
            return Failure(path, ImageDecodeError("not enough memory for this image"))

    def infer(self, images: ImageArray) -> Outputs:
        """The network alone on packed images, uint8 [N, H, W, 3] of the manifest's size. Raises BackendError."""
        self._check_open()
        return self._backend.run(images)

    def warmup(self, runs: int = 2) -> None:
        """Run the network on a blank image, so that the first real prediction is not slower than the others."""
        self._check_open()
        blank = np.zeros((1, self.manifest.input.height, self.manifest.input.width, 3), np.uint8)
        for _ in range(runs):
            self._backend.run(blank)

    def close(self) -> None:
        """Free the model; later calls raise BackendError. Closing twice is fine."""
        self._closed = True
        self._backend.close()

    def _check_open(self) -> None:
        if self._closed:
            raise BackendError("the grader is closed")

    def __enter__(self) -> AcneGrader:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class _Clock:
    """Milliseconds by stage."""

    def __init__(self) -> None:
        self._laps: dict[str, float] = {}
        self._start = self._last = perf_counter()

    def lap(self, stage: str) -> None:
        now = perf_counter()
        self._laps[stage] = (now - self._last) * 1e3
        self._last = now

    def finish(self) -> dict[str, float]:
        return {**self._laps, "total": (self._last - self._start) * 1e3}
