"""Loads a model in its own thread, so that the caller can decode the first photograph meanwhile."""

from __future__ import annotations

import os
from threading import Event, Thread, current_thread
from typing import TYPE_CHECKING

from acne_edge import models, startup
from acne_edge.backends import check_backend, load_backend
from acne_edge.errors import ManifestError, ModelIntegrityError, UsageError

if TYPE_CHECKING:
    from acne_edge.backends.base import Backend
    from acne_edge.manifest import Manifest


class ModelLoader:
    """A model that is being loaded into a runtime. Errors are raised in the threads that wait for it.

    Args:
        model: a shipped model's name (None: the default) or a file.
        backend: name of the runtime, or `auto`.
        threads: threads inside an operator; 0 lets the runtime choose.
        strict: see `load_backend`.
        sha256: the hash that the file must have, hexadecimal; any other file raises ModelIntegrityError.

    Raises UsageError for an unknown backend or a negative number of threads.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        backend: str = "auto",
        threads: int = 0,
        strict: bool = False,
        sha256: str | None = None,
    ) -> None:
        if threads < 0:
            raise UsageError(f"threads is {threads}; expected 0 (automatic) or more")
        self._model, self._choice, self.threads, self._strict = model, check_backend(backend), threads, strict
        self._expected = sha256
        self._manifest: Manifest | None = None
        self._data = b""
        self._backend: Backend | None = None
        self._error: BaseException | None = None
        self._read = Event()
        self.sha256 = ""  # the model file's, hexadecimal, once it is loaded
        self.reason = ""  # why this backend was chosen, once it is loaded
        self._thread = Thread(target=self._load, name="acne-edge-load")
        self._thread.start()
        if backend in ("auto", "onnxruntime"):
            startup.import_onnxruntime()

    def _load(self) -> None:
        try:
            file = models.load_model(self._model)
            if self._expected not in (None, file.sha256):
                raise ModelIntegrityError(f"model {file.name}: the file has changed since it was first loaded")
            self.sha256, self._data = file.sha256, file.data
            self._read.set()
            self._backend, self.reason = load_backend(self._choice, file, self.threads, self._strict)
        except BaseException as error:
            self._error = error
        finally:
            self._read.set()

    @property
    def settings(self) -> dict[str, str | int | bool]:
        """What was asked for."""
        return {"backend": self._choice, "threads": self.threads, "strict": self._strict}

    def manifest(self) -> Manifest:
        """The model's manifest, as soon as the file is read and verified."""
        if self._manifest is None:
            self._read.wait()
            # Parsed in the calling thread, so that it does not delay loading.
            self._manifest = _manifest(self._data) or self.backend().manifest
            self._data = b""
        return self._manifest

    def backend(self) -> Backend:
        """The loaded model; raises any error from loading."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        assert self._backend is not None
        return self._backend

    def clone(self, threads: int | None = None) -> ModelLoader:
        """Load the same file into the same runtime again, with another number of threads if given."""
        return ModelLoader(
            self._model, self._choice, self.threads if threads is None else threads, self._strict, self.sha256 or None
        )

    def close(self) -> None:
        """Free the model, when it is loaded."""
        self._thread.join()
        if self._backend is not None:
            self._backend.close()

    def settle(self) -> None:
        """Wait until loading has succeeded or failed."""
        if self._thread is not current_thread():
            self._thread.join()

    def detach(self) -> None:
        """Never free the model: after a fork its threads do not exist, and waiting for them would never end."""
        if self._backend is not None:
            import ctypes

            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._backend))


def _manifest(data: bytes) -> Manifest | None:
    from acne_edge.manifest import Manifest
    from acne_edge.onnx_file import manifest_text

    try:
        text = manifest_text(data)
        return Manifest.from_json(text) if text is not None else None
    except ManifestError:
        return None  # the backend reports the problem
