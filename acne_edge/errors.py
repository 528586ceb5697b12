"""Every exception that acne-edge raises on purpose.

    AcneEdgeError
    |- ImageError            an image that cannot be used (exit code 3)
    |  |- ImageNotFoundError     no such file
    |  |- ImageDecodeError       not an image, truncated, or in an unsupported format
    |  |- ImageSizeError         too small, too large, or not shaped like an image
    |  `- PoorQualityError       the quality gate refuses the photograph
    |- ModelError            a model file that is refused (exit code 4)
    |  |- ManifestError          the file has no manifest, or an invalid one
    |  `- ModelIntegrityError    the file is not the one that the index lists
    |- BackendError          the runtime cannot run the model (exit code 4)
    |- MissingExtraError     an optional dependency is not installed (exit code 2)
    `- UsageError            a wrong call or command (exit code 2)

Each has a `code`, a stable word for programs, and a one-line message that says what is wrong, where, and what to do. All can be
pickled, so a worker process can hand them to its parent.
"""

from __future__ import annotations


class AcneEdgeError(Exception):
    """Base of all errors raised by acne-edge. Its text is the `message`; if it has a `path`, that comes first, with a colon."""

    code = "error"
    exit_code = 1
    path: str | None = None  # the file that the error is about, as the caller named it

    @property
    def message(self) -> str:
        """The message without the path."""
        return " ".join(map(str, self.args))

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path is not None else self.message

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (type(self), self.args, dict(vars(self)))


def _restore(kind: type[AcneEdgeError], args: tuple[object, ...], state: dict[str, object]) -> AcneEdgeError:
    """Restore a pickled error without its constructor, whose arguments may differ from those in `args`."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class ImageError(AcneEdgeError):
    """An image that cannot be used."""

    code = "image_error"
    exit_code = 3


class ImageNotFoundError(ImageError):
    """There is no file at the given path, or permission to read it is missing."""

    code = "image_not_found"


class ImageDecodeError(ImageError):
    """The bytes are not an image, are truncated, or have an unsupported format."""

    code = "image_decode"


class ImageSizeError(ImageError):
    """The image is too small, too large, or not shaped like an image."""

    code = "image_size"


class PoorQualityError(ImageError):
    """The quality gate refuses the photograph; the message holds the reason codes."""

    code = "poor_quality"


class ModelError(AcneEdgeError):
    """A model file that is refused."""

    code = "model_error"
    exit_code = 4


class ManifestError(ModelError):
    """The model file holds no manifest, or an invalid one."""

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
    """A call or command is wrong: an unknown name, a value out of range, or arguments that exclude each other."""

    code = "usage"
    exit_code = 2
