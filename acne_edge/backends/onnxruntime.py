"""ONNX Runtime on the CPU."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from acne_edge.backends.base import OUTPUT_NAMES, Outputs, named, output_names
from acne_edge.backends.graph_cache import GraphCache
from acne_edge.cpus import limited_cpus
from acne_edge.errors import BackendError, ManifestError, ModelError
from acne_edge.manifest import Manifest
from acne_edge.onnx_file import KEY, refuse_external_data

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from acne_edge.image import ImageArray


class OnnxRuntimeBackend:
    """A session on the CPU.

    Args:
        model: an ONNX file.
        threads: threads inside an operator; 0 lets the runtime choose.
        sha256: the hash of `model`, hexadecimal; with it, the optimised graph is read from the cache, or stored there.

    Raises ModelError for bytes that are not an ONNX model, refer to other files or break the contract, and ManifestError for a
    bad manifest.
    """

    def __init__(self, model: bytes, threads: int = 0, sha256: str | None = None) -> None:
        refuse_external_data(model)
        try:
            self._session: Any = _session(model, threads, sha256)
        except Exception as error:  # the runtime's exceptions share no public base class
            raise ModelError(f"ONNX Runtime cannot load the model: {_first_line(error)}") from error
        try:
            text = self._session.get_modelmeta().custom_metadata_map.get(KEY)
        except UnicodeDecodeError as error:
            raise ManifestError("the model's metadata is not UTF-8 text; export the model again") from error
        if text is None:
            raise ManifestError("the ONNX file holds no acne-edge manifest: make one with `python -m export`")
        self.manifest = Manifest.from_json(text)
        self._names = output_names(self.manifest)
        outputs = {output.name: output for output in self._session.get_outputs()}
        self._check_contract(outputs)
        self.name = "onnxruntime:" + self._session.get_providers()[0]
        # A graph may leave the size of its map open; memory without a size cannot be allocated ahead.
        self._bindable = all(isinstance(n, int) for name in self._names for n in outputs[name].shape[1:])
        self._of_thread = threading.local()

    def _check_contract(self, outputs: dict[str, Any]) -> None:
        inputs, spec = self._session.get_inputs(), self.manifest.input
        if [i.name for i in inputs] != ["image"] or not outputs.keys() >= set(self._names):
            raise ModelError(f"the model's input and outputs are not image -> {', '.join(self._names)}")
        if inputs[0].type != "tensor(uint8)" or list(inputs[0].shape[1:]) != [spec.height, spec.width, 3]:
            raise ModelError(
                f"the model's input is {inputs[0].type} {inputs[0].shape}, "
                f"not the manifest's uint8 [N, {spec.height}, {spec.width}, 3]"
            )
        widths = [outputs[name].shape[1] for name in self._names[:2]]
        if widths != [len(self.manifest.scale.labels), self.manifest.count_bins]:
            raise ModelError(f"the model's outputs have {widths} grades and count bins; the manifest says otherwise")
        for name in self._names[len(OUTPUT_NAMES) :]:
            if len(outputs[name].shape) != 1:
                raise ModelError(f"the model's output {name} is {outputs[name].shape}, not one number an image")

    def run(self, images: ImageArray) -> Outputs:
        """See `Backend.run`."""
        session = self._session
        if session is None:
            raise BackendError("the model is closed")
        spec = self.manifest.input
        if images.dtype.name != "uint8" or images.shape[1:] != (spec.height, spec.width, 3):
            raise BackendError(f"the input is {images.dtype} {images.shape}; expected uint8 [N, {spec.height}, {spec.width}, 3]")
        try:
            if len(images) != 1 or not self._bindable:
                return named(self._names, session.run(self._names, {"image": images}))
            if not hasattr(self._of_thread, "buffers"):
                self._of_thread.buffers = _Buffers(session, self._names)
            return self._of_thread.buffers.run(images)  # type: ignore[no-any-return]
        except Exception as error:
            raise BackendError(f"ONNX Runtime failed: {_first_line(error)}") from error

    def close(self) -> None:
        """See `Backend.close`."""
        self._session = None
        self._of_thread = threading.local()


class _Buffers:
    """One thread's memory for the input and the outputs of single images: allocated once, and bound to the session."""

    def __init__(self, session: Any, names: tuple[str, ...]) -> None:
        import numpy as np

        self._session, self._binding, self._names = session, session.io_binding(), names
        self._image = np.zeros((1, *session.get_inputs()[0].shape[1:]), np.uint8)
        shapes = {output.name: output.shape for output in session.get_outputs()}
        self._outputs = [np.zeros((1, *shapes[name][1:]), np.float32) for name in names]
        self._bind("input", "image", self._image)
        for name, output in zip(names, self._outputs, strict=True):
            self._bind("output", name, output)

    def _bind(self, kind: str, name: str, array: NDArray[Any]) -> None:
        bind = getattr(self._binding, f"bind_{kind}")
        bind(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)

    def run(self, image: ImageArray) -> Outputs:
        """Infer uint8 [1, H, W, 3]; the outputs are copies."""
        self._image[...] = image
        self._session.run_with_iobinding(self._binding)
        return named(self._names, (output.copy() for output in self._outputs))


def _session(model: bytes, threads: int, sha256: str | None) -> Any:
    cache = GraphCache(sha256) if sha256 else None
    kept = cache.load() if cache else {}
    import onnxruntime as ort  # after the cache is read, which goes on while another thread imports

    def start(graph: bytes, optimised: bool = False, draft: str | None = None) -> Any:
        options = ort.SessionOptions()
        # By default it binds a thread to every core of the machine, including those that this process may not use.
        options.intra_op_num_threads = threads or limited_cpus()
        options.log_severity_level = 4  # errors come back as exceptions; nothing else may write to stderr
        # Threads spin while they wait for the next operator, which is an eighth faster than sleeping. They must not spin until
        # the next frame, which would cost battery and a core, nor before the first one, whose decoding needs that core.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.add_session_config_entry("session.intra_op.spin_duration_us", "100")
        if optimised:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        if draft:
            options.optimized_model_filepath = draft
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    if ort.__version__ in kept:
        with suppress(Exception):
            return start(kept[ort.__version__], optimised=True)
    if cache is None or cache.draft is None:
        return start(model)
    try:
        session = start(model, draft=cache.draft)
    except Exception:  # a full disk, or a model that is refused: the second try tells which
        cache.drop()
        return start(model)
    cache.keep(ort.__version__)
    return session


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
