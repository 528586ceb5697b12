"""What is counted for Prometheus. Nothing of a photograph is in it, and no name."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from acne_edge import __version__
from acne_edge.serve.engine import Engine

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)  # seconds


class Metrics:
    """The counters of one server."""

    def __init__(self, engine: Engine) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "acne_edge_predictions", "Requests for a prediction, by status.", ["status"], registry=self.registry
        )
        self.seconds = Histogram(
            "acne_edge_prediction_seconds",
            "From the first byte of a request to its answer.",
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.abstained = Counter("acne_edge_abstentions", "Predictions without a grade.", registry=self.registry)
        Gauge("acne_edge_places_taken", "Requests that run or wait.", registry=self.registry).set_function(
            lambda: float(engine.taken)
        )
        Gauge("acne_edge_places", "Requests that are taken in at once.", registry=self.registry).set(engine.places)
        model = engine.grader.model
        Gauge("acne_edge_info", "What runs.", ["version", "model", "model_version", "backend"], registry=self.registry).labels(
            __version__, model.name, model.version, model.backend
        ).set(1)

    def text(self) -> bytes:
        """In Prometheus' format."""
        return generate_latest(self.registry)
