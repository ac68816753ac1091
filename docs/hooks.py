"""Hooks of MkDocs: files outside docs/ that documents link to become pages of the site.

A link such as `../studies/own_files.yaml` leads to the file on GitHub, and in the site to a page
below `repository/` with its text. So the site needs no address of the repository. A link whose text
is the name of a document, such as `methods.md`, has the document's title instead. Blocks within
numbered lists may be indented by three, as on GitHub.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

DOCS, COPIES = "docs/", "repository/"
ALWAYS = ("CONTRIBUTING.md", "CHANGELOG.md")
"""Files of the navigation."""

LINK = re.compile(r"(?:\[(?P<name>[\w/]+\.md)\]|\])\((?P<path>[^)\s#:]+)(?P<anchor>#[^)\s]*)?\)")
"""A link; `name` is its text where that is the name of a document, else only its end is matched."""
ITEM = re.compile(r"^\d+\. .*\n(?:(?: {3}.*)?\n)*", re.M)
"""An item of a numbered list with the blocks that belong to it."""

MERMAID = re.compile(r"^```mermaid\n.*?^```\n", re.S | re.M)
"""Diagrams that GitHub draws; to draw them here would load a script from another server."""

ROLE = re.compile(r":(func|class|meth|mod|data):(?=<code>)")

LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".json": "json", ".smk": "python"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each file that a document links to, and for those that these link to."""
    root = Path(config.config_file_path).parent
    waiting = list(ALWAYS)
    for file in files.documentation_pages():
        waiting += linked(file.content_string, DOCS + file.src_uri, root)
    while waiting:
        path = waiting.pop()
        page = page_of(path)
        if path.startswith(DOCS) or files.get_file_from_path(page):
            continue
        source = root / path
        text = source.read_text(encoding="utf-8") if source.is_file() else ""
        if path.endswith(".md"):
            waiting += linked(text, path, root)
            text = rewritten(MERMAID.sub("", text), path, page, root)
        else:
            text = as_page(source, path, text)
        level = InclusionLevel.INCLUDED if path in ALWAYS else InclusionLevel.NOT_IN_NAV
        files.append(File.generated(config, page, content=text, inclusion=level))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to files outside docs/ into links to their pages."""
    if page.file.src_uri.startswith(COPIES):
        return markdown
    root = Path(config.config_file_path).parent
    markdown = ITEM.sub(lambda item: re.sub(r"(?m)^ {3}", " " * 4, item[0]), markdown)
    return rewritten(markdown, DOCS + page.file.src_uri, page.file.src_uri, root)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Leave out the roles of Sphinx in docstrings, of which editors make links."""
    return ROLE.sub("", html)


def page_of(path: str) -> str:
    """The page of a file of the repository, both by their paths."""
    if path.startswith(DOCS):
        return path.removeprefix(DOCS)
    return COPIES + (path if path.endswith(".md") else f"{path}.md")


def linked(text: str, source: str, root: Path) -> list[str]:
    """The files and folders that a document links to, relative to the root of the repository."""
    found = {target(match, source) for match in LINK.finditer(text)}
    return sorted(path for path in found if (root / path).exists())


def target(match: re.Match[str], source: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), match["path"]))


def rewritten(text: str, source: str, page: str, root: Path) -> str:
    """The text of a document with links that work in the site."""

    def link(match: re.Match[str]) -> str:
        path = target(match, source)
        if not (root / path).exists():
            return match[0]  # MkDocs warns
        there = posixpath.relpath(page_of(path), posixpath.dirname(page) or ".")
        start = f"[{title(root / path)}]" if match["name"] else "]"
        return f"{start}({there}{match['anchor'] or ''})"

    return LINK.sub(link, text)


def title(document: Path) -> str:
    """The first heading of a document."""
    found = re.search(r"^# (.+)$", document.read_text(encoding="utf-8"), re.M)
    return found[1] if found else document.name


def as_page(source: Path, path: str, text: str) -> str:
    """A page that shows a file, or the names of a folder's files."""
    if source.is_dir():
        text = "\n".join(
            sorted(
                entry.name for entry in source.iterdir() if not entry.name.startswith(("_", "."))
            )
        )
    language = LANGUAGES.get(os.path.splitext(path)[1], "text")
    return (
        f"---\ntitle: {path}\nsearch: {{exclude: true}}\n---\n\n# `{path}`\n\n"
        f"``````{language}\n{text.rstrip()}\n``````\n"
    )
