"""The backend protocol: a loaded model that turns packed images into its outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from acne_edge.image import ImageArray
    from acne_edge.manifest import Manifest


class Outputs(NamedTuple):
    """The network's outputs for a batch, all float32."""

    grade_probs: NDArray[np.float32]  # [N, G]
    count_probs: NDArray[np.float32]  # [N, K] over bins 0..K-1 lesions
    lesion_map: NDArray[np.float32]  # [N, h, w], expected lesions per cell
    unfamiliarity: NDArray[np.float32] | None = None  # [N], at least 0; None of a model without
    close_up: NDArray[np.float32] | None = None  # [N], 0..1; None of a model without


OUTPUT_NAMES = Outputs._fields[:3]  # that every model has
ENGINE_MAGIC = b"ACNETRT1"  # an engine file of TensorRT begins with it; see `tensorrt.engine_file`


def output_names(manifest: Manifest) -> tuple[str, ...]:
    """The outputs that are read of a model; others of its graph are ignored."""
    told = {"unfamiliarity": manifest.familiarity, "close_up": manifest.close_up}
    return (*OUTPUT_NAMES, *(name for name, meaning in told.items() if meaning is not None))


def named(names: Sequence[str], arrays: Iterable[NDArray[np.float32]]) -> Outputs:
    """The outputs of these names, as `output_names` gives them."""
    return Outputs(**dict(zip(names, arrays, strict=True)))


class Backend(Protocol):
    """A model loaded into one runtime."""

    name: str  # the runtime and the device it uses, as in "onnxruntime:CPUExecutionProvider"
    manifest: Manifest

    def run(self, images: ImageArray) -> Outputs:
        """Infer a batch: uint8 [N, H, W, 3], RGB, of the manifest's size. Raises BackendError."""
        ...

    def close(self) -> None:
        """Free the model. A closed backend raises BackendError when run; closing twice is fine."""
        ...
