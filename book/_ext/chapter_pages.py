"""What the book adds to chapters without a word of MyST in them, so that JupyterLab shows the same cells well.

- Paragraphs that begin with **Minutes:**, **Predict.**, **Task.** and so on get a class for the style sheet.
- A glossary term in bold or italics becomes a link to the glossary, the first time on a page.
- `[Shannon (1948)](…/book/bibliography.md#shannon1948)` finds the entry of that key.
- `[section 7](….ipynb#section-7)` finds the section "7 · …", and `….ipynb#exercise-3` the text of exercise 3.
- The page's header gets a button for its slides.
"""

import re

from docutils import nodes
from sphinx.util.nodes import make_refnode

LEADS = {
    "Predict.": "predict",
    "Task.": "task",
    "Check your understanding.": "check",
    "Break it.": "break",
}
FACTS = {"Minutes:": "dgm-fact", "Needs:": "dgm-fact", "You will be able to": "dgm-able"}
BIBLIOGRAPHY = "book/bibliography"


def is_chapter(docname):
    return docname.startswith("notebooks/")


def mark_leads(app, doctree):
    if not is_chapter(app.env.docname):
        return
    for paragraph in doctree.findall(nodes.paragraph):
        first = next((child for child in paragraph.children if child.astext()), None)
        if not isinstance(first, nodes.strong):
            continue
        if first.astext() in FACTS:
            paragraph["classes"].append(FACTS[first.astext()])
        elif first.astext() in LEADS:
            quoted = isinstance(paragraph.parent, nodes.block_quote) and paragraph.parent.index(paragraph) == 0
            (paragraph.parent if quoted else paragraph)["classes"] += ["dgm-lead", "dgm-" + LEADS[first.astext()]]


def name_places(app, doctree):
    """Give sections and exercises of a chapter names that links from other pages can use."""
    docname = app.env.docname
    if not is_chapter(docname):
        return
    places = {}
    for section in doctree.findall(nodes.section):
        if found := re.match(r"(\d+) · ", section[0].astext()):
            places[f"section-{found[1]}"] = section["ids"][0]
    texts = {}
    for paragraph in doctree.findall(nodes.paragraph):
        if found := re.match(r"★+ (\d+)\.", paragraph.astext()):
            texts[found[1]] = paragraph
    for cell in doctree.findall(nodes.container):
        if "tag_exercise" in cell["classes"] and (found := re.search(r'check\("\w+\.(\d+)"', cell.astext())):
            name = f"exercise-{found[1]}"
            texts.get(found[1], cell)["ids"].append(name)
            places[name] = name
    slugs = {name: (0, target, name.replace("-", " ")) for name, target in places.items()}
    app.env.metadata[docname].setdefault("myst_slugs", {}).update(slugs)


def name_bibliography_entries(app, env):
    entries = {c.key: (0, c.citation_id, c.key) for c in env.get_domain("cite").citations}
    env.metadata[BIBLIOGRAPHY].setdefault("myst_slugs", {}).update(entries)


def link_terms(app, doctree, docname):
    if not is_chapter(docname):
        return
    terms, seen = dict(app.env.get_domain("std").data["terms"]), set()
    for node in [*doctree.findall(nodes.strong), *doctree.findall(nodes.emphasis)]:
        ancestors, parent = [], node.parent
        while parent is not None:
            ancestors.append(parent)
            parent = parent.parent
        if any(isinstance(a, nodes.title | nodes.reference) for a in ancestors):
            continue
        target = terms.get(node.astext().strip(" .,:;").lower())
        if target and target not in seen:
            seen.add(target)
            inner = nodes.inline("", "", *node.children, classes=["dgm-term"])
            node.children = []
            node += make_refnode(app.builder, docname, *target, inner, "in the glossary")


def add_slides_button(app, pagename, templatename, context, doctree):
    if is_chapter(pagename) and "header_buttons" in context:
        context["header_buttons"].insert(
            0,
            {
                "type": "link",
                "url": context["pathto"](pagename.replace("notebooks", "slides", 1) + ".html", 1),
                "text": "",
                "tooltip": "Slides of this chapter",
                "icon": "fas fa-person-chalkboard",
                "label": "slides-button",
            },
        )


def setup(app):
    app.connect("doctree-read", mark_leads)
    app.connect("doctree-read", name_places)
    app.connect("env-updated", name_bibliography_entries, priority=900)  # after sphinxcontrib-bibtex
    app.connect("doctree-resolved", link_terms)
    app.connect("html-page-context", add_slides_button, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
