"""The Python step of a Triton model repository: a photograph's bytes in, the SDK's JSON out. The server runs it, with acne-edge
installed for its Python.

The stages before and after the network are the SDK's own. The network is another model of the same server, which makes batches of
the requests of all instances of this step.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils

from acne_edge.backends.base import Outputs, named, output_names
from acne_edge.errors import BackendError, ImageError
from acne_edge.grader import AcneGrader
from acne_edge.manifest import Manifest
from acne_edge.prediction import Failure, Prediction


class Network:
    """The network, as a backend and as what loads it."""

    threads = 1  # a batch takes this loader too

    def __init__(self, model: str, sha256: str, manifest: Manifest) -> None:
        self.model, self.sha256, self._manifest = model, sha256, manifest
        self.name = f"triton:{model}"
        self.settings = {"backend": "triton", "threads": 1, "strict": False}
        self.reason = "the server runs the network"

    def manifest(self) -> Manifest:
        """The model's manifest."""
        return self._manifest

    def backend(self) -> Backend:
        """What runs the network."""
        return Backend(self)

    def settle(self) -> None:
        """Nothing is loading."""

    def close(self) -> None:
        """The network is the server's."""

    detach = close


class Backend:
    """Asks the server to run the network."""

    def __init__(self, network: Network) -> None:
        self.name, self.manifest, self._model = network.name, network.manifest(), network.model
        self._names = output_names(self.manifest)

    def run(self, images: np.ndarray) -> Outputs:
        """See `acne_edge.backends.base.Backend.run`."""
        request = pb_utils.InferenceRequest(
            model_name=self._model,
            requested_output_names=list(self._names),
            inputs=[pb_utils.Tensor("image", images)],
        )
        response = request.exec()
        if response.has_error():
            raise BackendError(f"{self._model}: {response.error().message()}")
        tensors = (pb_utils.get_output_tensor_by_name(response, name) for name in self._names)
        return named(self._names, (tensor.as_numpy() for tensor in tensors))

    def close(self) -> None:
        """The network is the server's."""


class TritonPythonModel:
    """What the server calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the manifest, which lies beside this file, and which network to ask."""
        parameters = json.loads(args["model_config"])["parameters"]
        folder = Path(args["model_repository"], args["model_version"])
        manifest = Manifest.from_json((folder / "manifest.json").read_text(encoding="utf-8"))
        wanted = {name: value["string_value"] for name, value in parameters.items()}
        self._grader = AcneGrader(Network(wanted["network"], wanted["sha256"], manifest), None, wanted["on_poor_quality"])

    def execute(self, requests: list[object]) -> list[object]:
        """A response for each request. A photograph that cannot be used is an answer, `error` in its JSON, and no fault."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: object) -> object:
        photograph = pb_utils.get_input_tensor_by_name(request, "photograph").as_numpy().reshape(-1)
        try:
            results = [self._predict(bytes(data)) for data in photograph]
        except Exception as error:  # the server or the model is at fault; the server goes on
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error)))
        texts = np.array([result.to_json().encode() for result in results], np.object_)
        return pb_utils.InferenceResponse(output_tensors=[pb_utils.Tensor("prediction", texts)])

    def _predict(self, data: bytes) -> Prediction | Failure:
        try:
            return self._grader.predict(data)
        except ImageError as error:
            return Failure(None, error)

    def finalize(self) -> None:
        """The server unloads the step."""
        self._grader.close()
