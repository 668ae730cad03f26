"""The pages of the site: chapters, contents, map, homework, attacks and library."""

import ast
import base64
import html
import re
import shutil
from functools import partial
from itertools import groupby, pairwise
from pathlib import Path
from string import Template

import nbformat

from scratchadv import attacks

from . import api
from .text import plain, to_html

HERE = Path(__file__).parent
PAGE = Template((HERE / "page.html").read_text("utf-8"))
MAP = {"SLIDES.md": "slides.html", "NOTATION.md": "notation.html"}
TITLES = {
    "index.html": "Contents",
    "slides.html": "Slides",
    "notation.html": "Notation",
    "homework.html": "Homework",
    "attacks.html": "Attacks",
    "api/index.html": "Library",
}


def write(source, chapters, out):
    """Write all pages from the executed notebooks in ``out / "notebooks"``.

    Parameters
    ----------
    source : Path
        The folder with the chapters, the map and the homework.
    chapters : list of Path
    out : Path
    """
    Site(source, out).write([c.stem for c in chapters if (out / "notebooks" / f"{c.stem}.ipynb").exists()])


class Site:
    """The data that pages share: the folders, the names of the library, and the list of pages."""

    def __init__(self, source, out):
        self.source = source
        self.out = out
        self.names = api.Names()
        self.homework = sorted(source.glob("homework/hw*/README.md"))
        self.extra = [page for name, page in MAP.items() if (source / name).exists()]
        self.extra += ["homework.html"] * bool(self.homework)

    def write(self, stems):
        """Write the pages; ``stems`` are the names of the chapters' files without their suffix."""
        for folder, old in (("", "*.html"), ("api", "*.html"), ("figures", "[0-9][0-9]_*-*.png")):
            (self.out / folder).mkdir(parents=True, exist_ok=True)
            for path in (self.out / folder).glob(old):
                path.unlink()
        shutil.copy(HERE / "style.css", self.out)
        notebooks = {stem: nbformat.read(self.out / "notebooks" / f"{stem}.ipynb", 4) for stem in stems}
        bodies = {f"{stem}.html": self.chapter(stem, nb) for stem, nb in notebooks.items()}
        self.pages(bodies, {f"{stem}.html": f"notebooks/{stem}.ipynb" for stem in stems})
        self.contents({stem: (nb, bodies[f"{stem}.html"]) for stem, nb in notebooks.items()})
        for name, page in MAP.items():
            if page in self.extra:
                self.page(page, self.markdown(self.source / name))
        if self.homework:
            self.page("homework.html", self.assignments())
        self.page("attacks.html", self.html(api.attacks_markdown(), self.source, vars(attacks)))
        self.library()

    def pages(self, bodies, notebooks):
        """Write a series of pages, each with links to the previous and the next."""
        for before, (name, body), after in _with_neighbours(bodies.items()):
            self.page(name, body, before, after, notebooks.get(name))

    def page(self, name, body, before=None, after=None, notebook=None):
        """Write one page; ``before`` and ``after`` are pairs (name, body)."""
        root = "../" * name.count("/")
        links = [(page, TITLES[page]) for page in ("index.html", *self.extra, "attacks.html", "api/index.html")]
        site = "".join(
            f'<a href="{root}{page}"{" aria-current=page" * (page == name)}>{title}</a>' for page, title in links
        )
        body = re.sub(r'((?:href|src)=")(?![a-z]+:|#)', rf"\1{root}", _with_contents(body))
        filled = {"title": plain(_title(body)), "root": root, "site": site, "body": body}
        (self.out / name).write_text(PAGE.substitute(filled, footer=_footer(root, before, notebook, after)), "utf-8")

    # One method for each kind of page

    def markdown(self, path, options=()):
        """Return a Markdown file as HTML."""
        return self.html(path.read_text("utf-8"), path.parent, None, options)

    def html(self, text, folder, scope=None, options=()):
        """Return Markdown as HTML; its links are relative to ``folder``."""
        return to_html(text, "md", partial(self.names.find, scope=scope), partial(self.local, folder), options)

    def local(self, folder, href):
        """Return the address in the site of a link to a file of the project, or None if the site has no such page."""
        path, mark, anchor = href.partition("#")
        if re.match("[a-z]+:", href) or not path or (self.out / path).is_file():
            return href
        target = (folder / path).resolve()
        if not target.is_relative_to(self.source.resolve()):
            return self.names.find(path.lstrip("./"))
        if target.parent in (readme.parent.resolve() for readme in self.homework):
            return f"homework.html#{target.parent.name}" if target.name == "README.md" else None
        known = target.name in MAP or (self.out / "notebooks" / f"{target.stem}.ipynb").exists()
        return f"{MAP.get(target.name, f'{target.stem}.html')}{mark}{anchor}" if known else None

    def chapter(self, stem, nb):
        """Return a notebook with outputs as HTML."""
        code = "\n".join(cell.source for cell in nb.cells if cell.cell_type == "code")
        body = self.html(self.notebook_markdown(stem, nb), self.source, _scope(code))
        return re.sub(r'src="(?!figures/|[a-z]+:)([^"]+)"', self.copied, body)

    def notebook_markdown(self, stem, nb):
        """Return a notebook as one Markdown text, and write its pictures as files."""
        pictures = iter(f"{stem}-{k}.png" for k in range(1, 1000))
        parts = []
        for answer, cells in groupby(nb.cells, lambda cell: "answer" in cell.metadata.get("tags", [])):
            texts = [self.cell(cell, pictures) for cell in cells]
            parts += ['<details class="answer"><summary>Answer</summary>', *texts, "</details>"] if answer else texts
        return "\n\n".join(parts)

    def cell(self, cell, pictures):
        """Return one cell as Markdown."""
        if cell.cell_type == "markdown":
            exercise = re.match(r"\*\*Exercise ([\d.]+?)\.?\*\*", cell.source)
            mark = f'<div class="exercise" id="exercise-{exercise[1].replace(".", "-")}">' if exercise else ""
            return f"{mark}\n\n{cell.source}\n\n</div>" if exercise else cell.source
        return "\n\n".join([_fenced("python", cell.source), *(self.output(o, pictures) for o in cell.outputs)])

    def output(self, output, pictures):
        """Return one output as Markdown; output to stderr, such as progress bars, stays in the notebook."""
        if output.output_type == "stream":
            return _fenced("output", output.text) if output.name == "stdout" else ""
        data = output.data
        if "image/png" in data:
            name = f"figures/{next(pictures)}"
            (self.out / name).write_bytes(base64.b64decode(data["image/png"]))
            metadata = output.metadata.get("image/png", {}) | output.metadata
            return f'<figure><img src="{name}" alt="{html.escape(metadata.get("alt", ""))}"></figure>'
        if "text/markdown" in data:
            return f'<div class="shown">\n\n{data["text/markdown"]}\n\n</div>'
        return _fenced("output", data["text/plain"])

    def contents(self, chapters):
        """Write index.html: the opening of each chapter, with its first picture."""
        cards = [self.markdown(HERE / "index.md")]
        for stem, (nb, body) in chapters.items():
            opening = self.html(nb.cells[0].source, self.source)
            title = f'<h2><a href="{stem}.html">{_title(opening)}</a></h2>'
            picture = re.search(r"<img [^>]*>", body)
            image = re.sub('alt="[^"]*"', 'alt=""', picture[0]) if picture else ""
            cards.append(f'<article class="card">{image}{re.sub("<h1.*?</h1>", title, opening)}</article>')
        self.page("index.html", "\n".join(cards))

    def assignments(self):
        """Return the body of homework.html: the assignments, one after the other."""
        texts = ["<h1>Homework</h1>"]
        for path in self.homework:
            name = path.parent.name
            body = self.markdown(path, ["--shift-heading-level-by=1", f"--id-prefix={name}-"])
            texts.append(re.sub('<h2 id="[^"]*"', f'<h2 id="{name}"', body, count=1))
        return "\n".join(texts)

    def library(self):
        """Write the pages of the library in reading order, and their table of contents."""
        bodies = {}
        for module in self.names.modules():
            name = module.__name__
            link = partial(self.names.find, scope=vars(module))
            text = to_html(api.module_rst(module), "rst", link)
            bodies[f"api/{name}.html"] = f"<h1><code>{name}</code></h1>\n{text}"
        self.pages({"api/index.html": self.library_contents(bodies), **bodies}, {})

    def library_contents(self, bodies):
        """Return the body of api/index.html: the modules with their first sentences."""
        rows = []
        for page, body in bodies.items():
            names = ", ".join(
                f'<a href="{page}#{name}"><code>{name}</code></a>' for name in re.findall('<h2 id="(.*?)"><code>', body)
            )
            first = re.search("<p>.*?</p>|$", body, re.DOTALL)[0]
            rows.append(f'<dt><a href="{page}">{_title(body)}</a></dt><dd>{first}<p>{names}</p></dd>')
        order = "Here are the modules in the order in which to read them; the helper modules follow by name."
        return f"<h1>The library</h1><p>{order}</p><dl>{''.join(rows)}</dl>"

    def copied(self, found):
        """Copy the picture file of a match, and return the new ``src`` attribute."""
        shutil.copy(self.source / found[1], self.out / "figures")
        return f'src="figures/{Path(found[1]).name}"'


def _footer(root, before, notebook, after):
    """Return links to the previous page, the notebook and the next page, if they exist."""
    links = [
        (before and before[0], "prev", "Previous", before and _title(before[1])),
        (notebook, "alternate", "Teach from it", "Notebook"),
        (after and after[0], "next", "Next", after and _title(after[1])),
    ]
    if not any(url for url, *_ in links):
        return ""
    turn = (
        f'<a rel="{rel}" href="{root}{url}"><span>{word}</span> {title}</a>' if url else "<span></span>"
        for url, rel, word, title in links
    )
    return f'<footer><nav aria-label="Chapters">{"".join(turn)}</nav></footer>'


def _with_neighbours(items):
    padded = [None, *items, None]
    return [(a, b, c) for (a, b), (_, c) in zip(pairwise(padded), pairwise(padded[1:]), strict=False)]


def _title(body):
    found = re.search("<h1.*?>(.*?)</h1>", body, re.DOTALL)
    return found[1] if found else ""


def _with_contents(body):
    """Return the body with a list of its sections before the first of them."""
    sections = re.findall(r'<h2 id="([^"]*)">(.*?)</h2>', body, re.DOTALL)
    if len(sections) < 3:
        return body
    links = "".join(f'<li><a href="#{anchor}">{title}</a></li>' for anchor, title in sections)
    at = body.index("<h2")
    return f'{body[:at]}<nav class="sections" aria-label="On this page"><ul>{links}</ul></nav>\n{body[at:]}'


def _fenced(language, text):
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def _scope(code):
    """Return the meaning of the library's names in a chapter; None for names that the chapter defines itself."""
    scope = {}
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import | ast.ImportFrom) and "scratchadv" in ast.unparse(node):
            exec(ast.unparse(node), scope)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            scope[node.name] = None
    return scope
