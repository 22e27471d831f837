"""Hooks of MkDocs: the pages of the reference, one for each topic, and Mermaid where a page has diagrams.

Every name in ``__all__`` of the public modules is on exactly one page of the reference, chosen by where it is defined,
so that a new name needs no page of its own.
"""

from __future__ import annotations

import ast
import re
import shutil
from collections import defaultdict
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.pages import Page

__all__ = [
    "FIRST",
    "MODULES",
    "TOPICS",
    "on_page_content",
    "on_page_markdown",
    "on_post_build",
    "on_post_page",
    "on_pre_build",
    "reference",
    "topic_of",
]

MODULES: Final = (
    "ksef_async",
    "ksef_async.submissions",
    "ksef_async.documents",
    "ksef_async.documents.building",
    "ksef_async.sandbox",
    "ksef_async.fastapi",
    "ksef_async.telemetry.opentelemetry",
    "ksef_async.telemetry.prometheus",
)
"""Where users import from."""

TOPICS: Final = {
    "client": ("Client and credentials", r"client|api\.environment|auth\.credentials|api\.(auth|common)"),
    "batch": ("Packages and batch sessions", r"sessions\.batch|packing|api\.packages|protocol\.planning"),
    "sessions": ("Sending", r"sessions|api\.(sessions|keys)"),
    "receiving": ("Receiving", r"downloads|(api|resources)\.invoices|calling\.paging"),
    "submissions": ("Durable delivery", r"submissions"),
    "documents": ("Documents", r"documents"),
    "offline": (
        "Offline, codes, outages",
        r"auth\.offline_signing|protocol\.(offline|verification_\w+|availability)|(api|resources)\.latarnia",
    ),
    "errors": ("Errors", r"errors"),
    "events": ("Events and telemetry", r"calling\.events|telemetry"),
    "calling": ("Pacing, retries, transport", r"calling|protocol|api\.(rates|limits)"),
    "resources": ("The rest of the API", r"resources|api"),
    "sandbox": ("Sandbox", r"sandbox"),
    "fastapi": ("FastAPI", r"fastapi"),
}
"""The pages: their titles, and the modules whose names they hold; the first that fits."""

FIRST: Final = (
    "KsefClient",
    "CertificateCredentials",
    "KsefToken",
    "Environment",
    "SessionManager",
    "OnlineSession",
    "SentInvoice",
    "SessionKeeper",
    "pack",
    "BatchSession",
    "Downloads",
    "Sync",
    "Invoices",
    "Submissions",
    "Submission",
    "check",
    "html",
    "KsefError",
    "Sandbox",
    "KsefService",
)
"""What a page begins with."""

_MERMAID: Final = "assets/mermaid.js"


def topic_of(module: str) -> str:
    """Return the page for what ``module`` defines."""
    inner = module.removeprefix("ksef_async.")
    return next(topic for topic, (_, pattern) in TOPICS.items() if re.match(rf"(?:{pattern})(?:\.|$)", inner))


def _homes(module: str) -> dict[str, str]:
    """Return which module defines each public name, as far as the imports of ``module`` tell."""
    spec = find_spec(module)
    source = Path(spec.origin or "").read_text("utf-8") if spec else ""
    return {
        name.name: f"{module}.{node.module}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module
        for name in node.names
    }


def reference() -> dict[str, list[str]]:
    """Return the full names on each page, in the order of the modules' ``__all__``."""
    pages: dict[str, list[str]] = defaultdict(list)
    for module in MODULES:
        homes = _homes(module)
        for name in import_module(module).__all__:
            pages[topic_of(homes.get(name, module))].append(f"{module}.{name}")
    for names in pages.values():
        names.sort(key=lambda full: [*FIRST, full.rpartition(".")[2]].index(full.rpartition(".")[2]))
    return pages


def on_pre_build(*, config: MkDocsConfig) -> None:
    """Write the pages of the reference, which are not kept, where MkDocs will find them."""
    folder = Path(config.docs_dir) / "en" / "reference"
    folder.mkdir(exist_ok=True)
    for topic, names in reference().items():
        text = "\n".join([f"# {TOPICS[topic][0]}", "", *(f"::: {name}\n" for name in names)])
        (folder / f"{topic}.md").write_text(text, "utf-8")


def on_post_build(*, config: MkDocsConfig) -> None:
    """Add Mermaid to the site: a package of the docs group carries it."""
    carrier = find_spec("mermaidx")
    if carrier is None or carrier.origin is None:
        raise ModuleNotFoundError("mermaidx, which carries mermaid.js, is not installed")
    shutil.copyfile(Path(carrier.origin).parent / "assets" / "mermaid.js", Path(config.site_dir) / _MERMAID)


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """Leave out what only the tests read: which blocks are not run, and why."""
    return re.sub(r"^<!-- (?:not run|pytest|served)\b.*-->\n", "", markdown, flags=re.MULTILINE)


def on_page_content(html: str, *, page: Page, **_: Any) -> str:
    """Let a diagram be moved sideways on a phone, in place of being too small to read."""
    return re.sub(r'<pre class="mermaid">.*?</pre>', r'<div class="diagram">\g<0></div>', html, flags=re.DOTALL)


def on_post_page(output: str, *, page: Page, **_: Any) -> str:
    """Load Mermaid (3.5 MB) where there is a diagram, before the theme looks for it."""
    if 'class="mermaid"' not in output:
        return output
    root = "../" * page.url.count("/")
    return output.replace("</head>", f'<script src="{root}{_MERMAID}"></script></head>', 1)
