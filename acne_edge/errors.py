"""Every exception that acne-edge raises on purpose.

    AcneEdgeError
    |- ImageError            an image that cannot be used (CLI exit code 3)
    |  |- ImageNotFoundError     no such file
    |  |- ImageDecodeError       not an image, truncated, or of a kind that is not supported
    |  |- ImageSizeError         too small, too large, or of a shape that is no image
    |  `- PoorQualityError       a capture that the quality gate refuses
    |- ModelError            a model file that is refused (CLI exit code 4)
    |  |- ManifestError          no manifest in the file, or one that is not valid
    |  `- ModelIntegrityError    the file is not the one that the index lists
    |- BackendError          the runtime cannot run the model (CLI exit code 4)
    |- MissingExtraError     an optional dependency is needed (CLI exit code 2)
    `- UsageError            a call or command that makes no sense (CLI exit code 2)

Each has a `code`, a stable word for machines, and a one-line message that says what is wrong, where, and what to do. All of them
survive pickling, so a process of a pool hands them to its parent whole.
"""

from __future__ import annotations


class AcneEdgeError(Exception):
    """Base of all errors raised by acne-edge. As text it is its `message`, behind its `path` and a colon if it has one."""

    code = "error"
    exit_code = 1
    path: str | None = None  # the file that the caller named and the error is about

    @property
    def message(self) -> str:
        """What is wrong, without the path."""
        return " ".join(map(str, self.args))

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path is not None else self.message

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (type(self), self.args, dict(vars(self)))


def _restore(kind: type[AcneEdgeError], args: tuple[object, ...], state: dict[str, object]) -> AcneEdgeError:
    """An error as it was, without a call of its constructor, whose arguments may be others than the ones it passed on."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class ImageError(AcneEdgeError):
    """An image that cannot be used."""

    code = "image_error"
    exit_code = 3


class ImageNotFoundError(ImageError):
    """No file at the given path, or it may not be read."""

    code = "image_not_found"


class ImageDecodeError(ImageError):
    """The bytes are not an image, are truncated, or are of a format that is not supported."""

    code = "image_decode"


class ImageSizeError(ImageError):
    """The image is too small, too large, or not shaped like an image."""

    code = "image_size"


class PoorQualityError(ImageError):
    """The quality gate refuses the capture; the message holds the reason codes."""

    code = "poor_quality"


class ModelError(AcneEdgeError):
    """A model file that is refused."""

    code = "model_error"
    exit_code = 4


class ManifestError(ModelError):
    """The model file holds no manifest, or one that is not valid."""

    code = "manifest_invalid"


class ModelIntegrityError(ModelError):
    """The model file differs from the one that the index lists."""

    code = "model_integrity"


class BackendError(AcneEdgeError):
    """The runtime cannot load or run the model."""

    code = "backend_error"
    exit_code = 4


class MissingExtraError(AcneEdgeError):
    """An optional dependency is not installed; the message names the extra to install."""

    code = "missing_extra"
    exit_code = 2

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {package}; install it with: pip install 'acne-edge[{extra}]'")


class UsageError(AcneEdgeError):
    """A call or command that makes no sense."""

    code = "usage"
    exit_code = 2
