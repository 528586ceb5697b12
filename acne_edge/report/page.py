"""From a template and its values to a page that stands alone, as HTML or PDF."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

from PIL import ImageFile

from acne_edge.catalogue import Catalogue
from acne_edge.errors import AcneEdgeError, MissingExtraError

TEMPLATES = Path(__file__).parent / "templates"
EXTRA = "report"


def check_installed() -> None:
    """Raises MissingExtraError if what makes pages is not installed, so that nobody waits for a page that will not come."""
    try:
        import jinja2  # noqa: F401
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(str(error.name), EXTRA, "a report") from error


def render(template: str, words: Catalogue, **values: Any) -> str:
    """The page of a template in `templates/`, in the language of `words`. Raises MissingExtraError without Jinja2."""
    try:
        import jinja2
    except ImportError as error:
        raise MissingExtraError("jinja2", EXTRA, "a report") from error
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    page = environment.get_template(template).render(t=words, style=style, **values)
    return re.sub(r"\n\s*\n+", "\n", page)


def picture_data(jpeg: bytes) -> str:
    """A JPEG as an address that holds it."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def pdf(page: str) -> bytes:
    """The page as a tagged PDF, as it prints.

    Raises MissingExtraError without WeasyPrint, AcneEdgeError without the system's libraries that it needs.
    """
    truncated = ImageFile.LOAD_TRUNCATED_IMAGES
    try:
        import weasyprint
    except ImportError as error:
        raise MissingExtraError("weasyprint", EXTRA, "a PDF") from error
    except OSError as error:  # it is a binding to Pango, which pip does not bring
        raise AcneEdgeError(
            f"WeasyPrint, which writes PDF, lacks a library of the system ({error}); install Pango "
            "(Debian: apt-get install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0), or write .html and print that"
        ) from error
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = truncated  # WeasyPrint sets it, and half a photograph would be counted
    only_data = weasyprint.urls.URLFetcher(allowed_protocols=["data"])  # nothing but what the page itself holds
    return bytes(weasyprint.HTML(string=page, url_fetcher=only_data).write_pdf(pdf_tags=True))
