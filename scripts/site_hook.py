"""MkDocs calls this while it builds the site: it adds pages that lie elsewhere in the repository or are made of other files.

A page outside of docs/ that a page links to becomes project/PATH, and so does any other file that is linked. Links are those of
the repository, so that they lead somewhere there too; here they are turned to where the site has the target.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
HEADER = ROOT / "cpp_bench" / "include" / "acne_edge.h"
NOTEBOOK = DOCS / "tutorials" / "tour.ipynb"
PAGES = (
    "MODEL_CARD.md", "MODEL_CARD-m.md", "CHANGELOG.md", "CONTRIBUTING.md",
    "SECURITY.md", "experiments/LOG.md", "cpp_bench/README.md",
)  # fmt: skip


def on_files(files: Files, config: Any) -> Files:
    """Add the pages and files that do not lie in docs/."""
    made = {
        "reference/python-docstrings.md": docstrings(),
        "reference/c-header.md": f"# C: the header\n\n`cpp_bench/include/acne_edge.h`\n\n```c\n{HEADER.read_text()}```\n",
        "tutorials/tour.md": notebook(NOTEBOOK),
    }
    for uri, text in made.items():
        files.append(File.generated(config, uri, content=text))
    for path in [*PAGES, *sorted(linked())]:
        files.append(File.generated(config, f"project/{path}", abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turn links of the repository to where the site has their targets."""
    uri = page.file.src_uri
    folder = source(uri).parent

    def turned(found: re.Match[str]) -> str:
        text, link = found.groups()
        path, mark, anchor = link.partition("#")
        if "://" in link or not path:
            return found[0]
        target = address((folder / path).resolve())
        if files.get_file_from_path(target) is None:
            return str(text)  # a file that the site has no use for: its name is enough
        return f"[{text}]({os.path.relpath(target, os.path.dirname(uri) or '.')}{mark}{anchor})"

    return outside_of_code(markdown, turned)


def outside_of_code(markdown: str, turned: Any) -> str:
    """Replace links, but not in code."""
    parts, end = [], 0
    for code in FENCE.finditer(markdown):
        parts += [LINK.sub(turned, markdown[end : code.start()]), code[0]] if not _in_link(markdown, code) else []
        end = code.end() if not _in_link(markdown, code) else end
    return "".join([*parts, LINK.sub(turned, markdown[end:])])


def _in_link(markdown: str, code: re.Match[str]) -> bool:
    """Whether a piece of code is the text of a link."""
    return markdown[code.end() : code.end() + 2] == "]("


def source(uri: str) -> Path:
    """Where the repository has a page of the site."""
    return ROOT / uri.removeprefix("project/") if uri.startswith("project/") else DOCS / uri


def address(path: Path) -> str:
    """Where the site has a file of the repository."""
    inside = path.relative_to(DOCS) if path.is_relative_to(DOCS) else Path("project", os.path.relpath(path, ROOT))
    return inside.as_posix()


def linked() -> Iterator[str]:
    """The files outside of docs/ that its pages link to and that are no pages of the site."""
    found = set()
    for page in DOCS.rglob("*.md"):
        for _, link in LINK.findall(FENCE.sub("", page.read_text())):
            path = (page.parent / link.partition("#")[0]).resolve()
            if "://" not in link and path.is_file() and not path.is_relative_to(DOCS):
                found.add(os.path.relpath(path, ROOT))
    yield from found - set(PAGES)


def docstrings() -> str:
    """The page of docstrings: every public name, by mkdocstrings."""
    import acne_edge

    head = "# Python: docstrings\n\nEvery public name, as its docstring says. The [overview](python.md) is shorter.\n"
    # Names load on first use, so the place of each is told by the object itself.
    places = {name: getattr(getattr(acne_edge, name), "__module__", "") for name in acne_edge.__all__}
    order = sorted((name for name in places if places[name]), key=lambda name: (*_rank(places[name]), name))
    return head + "".join(f"\n::: {places[name]}.{name}\n" for name in order)


def _rank(module: str) -> tuple[int, str]:
    """The grader first, then its results, errors last."""
    first, last = ("acne_edge.grader", "acne_edge.prediction"), ("acne_edge.grading", "acne_edge.errors")
    if module in first:
        return first.index(module) - len(first), ""
    return (1 + last.index(module), "") if module in last else (0, module)


def notebook(file: Path) -> str:
    """A notebook as Markdown: its text and its code, and where to get it."""
    cells = json.loads(file.read_text())["cells"]
    texts = [
        "".join(cell["source"]) if cell["cell_type"] == "markdown" else f"```python\n{''.join(cell['source'])}\n```"
        for cell in cells
    ]
    return "\n\n".join([texts[0], f"This page is the notebook [{file.name}]({file.name}).", *texts[1:]]) + "\n"
