"""The backend protocol: a loaded model that turns packed images into three outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from acne_edge.image import ImageArray
    from acne_edge.manifest import Manifest


class Outputs(NamedTuple):
    """The network's outputs for a batch, all float32."""

    grade_probs: NDArray[np.float32]  # [N, G]
    count_probs: NDArray[np.float32]  # [N, K] over bins 0..K-1 lesions
    lesion_map: NDArray[np.float32]  # [N, h, w], expected lesions per cell


OUTPUT_NAMES = Outputs._fields
ENGINE_MAGIC = b"ACNETRT1"  # an engine file of TensorRT begins with it; see `tensorrt.engine_file`


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
