"""Laws of the lectures' site: what is built from a chapter, and that the checks find what is wrong with a page."""

import importlib
import importlib.util
import re
import sys
from pathlib import Path

import nbformat
import pytest

from scratchadv.attacks import catalogue

pytest.importorskip("jupytext", reason="the extra lectures is not installed")
for name in ("nbclient", "ipykernel", "pypandoc", "numpydoc", "pygments"):
    pytest.importorskip(name, reason="the extra lectures is not installed")

sys.path.insert(0, str(Path(__file__).parents[2]))
build = importlib.import_module("lectures.build")
api, check, text = (importlib.import_module(f"lectures.site.{name}") for name in ("api", "check", "text"))

CHAPTER = r"""# %% [markdown]
# # 7. A small chapter
#
# Of $\epsilon$ and `Linf.project`.

# %%
from scratchadv.support import plots, show
from scratchadv.sets import Linf
from scratchadv.training import fit

rows = [["a", 1]]
print("printed <here>")
show.source(Linf.project)
show.table(["name", "value"], rows)
figure, axes = plots.figure_with_axes()
show.figure(figure, "07_empty", 'An "empty" figure')

# %% [markdown]
# ## The slides' own title
#
# $$\max_{\|\delta\|_\infty \leq \epsilon} L(y, f(x + \delta))$$
#
# See [there](08_next.py#the-end), [`Linf`](../scratchadv/sets/norms.py) and [a test](../tests/sets/test_norms.py).
# `fit` is clear here.

# %% [markdown]
# **Exercise 7.1.** Is it?

# %% tags=["answer"]
assert fit

# %% [markdown] tags=["answer"]
# It is.
"""
NEXT = "# %% [markdown]\n# # 8. Next\n#\n# ## The end\n#\n# It is reached.\n"
RAISES = "# %% [markdown]\n# # 9. Wrong\n\n# %%\n1 + 1\n\n# %%\nraise KeyError('the reason')\n"
NOTES = "# The map\n\n| slide | cell |\n| --- | --- |\n| End | [end](08_next.py#the-end) |\n"


def chapters(folder, **texts):
    for name, content in texts.items():
        (folder / f"{name.removeprefix('c')}.py").write_text(content, "utf-8")
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Return the site of two chapters and a map, and the exit status of the command that made it."""
    source, out = tmp_path_factory.mktemp("lectures"), tmp_path_factory.mktemp("site")
    chapters(source, c07_small=CHAPTER, c08_next=NEXT)
    (source / "SLIDES.md").write_text(NOTES, "utf-8")
    (source / "homework" / "hw1").mkdir(parents=True)
    (source / "homework" / "hw1" / "README.md").write_text("# Balls\n\nRead [it](../../07_small.py).\n", "utf-8")
    assert build.main(["--source", str(source), "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def page(site):
    return (site / "07_small.html").read_text("utf-8")


# Chapters


def test_outputs_are_on_the_page(page, site):
    """The printed text, the source, the table and the figure with its description are on the page"""
    assert "printed &lt;here&gt;" in page
    assert "The projection" in page or "clip(δ" in page
    assert "<td>a</td>" in page
    image, description = re.search(r'<img src="(.*?)" alt="(.*?)">', page).groups()
    assert description == "An &quot;empty&quot; figure"
    assert (site / image).read_bytes().startswith(b"\x89PNG")


def test_formulas_are_mathml(page):
    """$ and $$ become <math>; none is left"""
    assert page.count('display="block"') == 1
    assert "$" not in re.sub(r"<(math|pre)\b.*?</\1>", "", page, flags=re.DOTALL)


def test_headings_have_the_anchors_of_github(page):
    """ "The slides' own title" is at #the-slides-own-title"""
    assert '<h2 id="the-slides-own-title">' in page


def test_answers_are_folded(page):
    """After the exercise comes one <details> with both cells of the answer"""
    assert 'id="exercise-7-1"' in page
    (answer,) = re.findall(r"<details.*?</details>", page, re.DOTALL)
    assert "It is." in answer
    assert "open" not in answer.split(">")[0]
    assert "Exercise" not in answer


def test_links_lead_to_pages_of_the_site(page):
    """Links lead to a chapter and to a file of the library; a link to a file without a page becomes text"""
    assert '<a href="08_next.html#the-end">there</a>' in page
    assert '<a href="api/scratchadv.sets.norms.html#Linf">' in page
    assert "a test" in page
    assert "test_balls" not in page


def test_neighbours_are_linked(site, page):
    """The first chapter links to the next, the last to the previous, and each to its notebook"""
    assert 'rel="next" href="08_next.html"' in page
    assert 'rel="prev"' not in page
    assert 'rel="prev" href="07_small.html"' in (site / "08_next.html").read_text("utf-8")
    assert 'href="notebooks/07_small.ipynb"' in page


def test_contents_map_and_homework(site):
    """index.html has every title and picture, the map leads to sections, the homework to chapters"""
    index = (site / "index.html").read_text("utf-8")
    assert re.findall(r'<h2><a href="(.*?)">(.*?)</a>', index) == [
        ("07_small.html", "7. A small chapter"),
        ("08_next.html", "8. Next"),
    ]
    assert index.count("<img") == 1
    assert 'href="08_next.html#the-end"' in (site / "slides.html").read_text("utf-8")
    homework = (site / "homework.html").read_text("utf-8")
    assert '<h2 id="hw1">Balls</h2>' in homework
    assert 'href="07_small.html"' in homework


def test_notebooks_hold_outputs_and_hide_answers(site):
    """notebooks/07_small.ipynb is valid, has the figure, and its answers are collapsed"""
    notebook = nbformat.read(site / "notebooks" / "07_small.ipynb", 4)
    nbformat.validate(notebook)
    assert any("image/png" in o.get("data", {}) for cell in notebook.cells for o in cell.get("outputs", []))
    hidden = [cell.source for cell in notebook.cells if cell.metadata.get("jupyter", {}).get("source_hidden")]
    assert hidden == ["assert fit", "It is."]


@pytest.mark.slow
def test_no_run_writes_the_pages_anew_and_keeps_the_outputs(tmp_path, site):
    """--no-run needs no kernel; --only with a chapter that does not exist is an error"""
    source = chapters(tmp_path, c07_small="# %%\nraise SystemExit\n")
    out = tmp_path / "out"
    (out / "notebooks").mkdir(parents=True)
    (out / "notebooks" / "07_small.ipynb").write_bytes((site / "notebooks" / "07_small.ipynb").read_bytes())
    assert build.main(["--source", str(source), "--out", str(out), "--no-run"]) == 0
    assert "printed &lt;here&gt;" in (out / "07_small.html").read_text("utf-8")
    assert build.main(["--source", str(source), "--out", str(out), "--only", "55"]) == 2


@pytest.mark.slow
def test_a_chapter_that_raises_is_named_with_its_cell(tmp_path, capsys):
    """Status 1, the file, the number of the cell and the error; the other chapters have pages, this one has none"""
    source, out = chapters(tmp_path, c08_next=NEXT, c09_wrong=RAISES), tmp_path / "out"
    assert build.main(["--source", str(source), "--out", str(out)]) == 1
    message = capsys.readouterr().err
    assert "09_wrong.py, cell 3" in message
    assert "the reason" in message
    assert (out / "08_next.html").exists()
    assert not (out / "09_wrong.html").exists()


# Names of the library


@pytest.fixture(scope="module")
def find():
    return api.Names().find


def test_names_lead_to_their_entries(find):
    """Functions, methods, inherited methods and files have links; private, unknown and ambiguous names have none"""
    norms = "api/scratchadv.sets.norms.html"
    assert find("pgd") == find("attacks.pgd") == "api/scratchadv.attacks.gradient.pgd.html#pgd"
    assert find("Linf.project") == f"{norms}#Linf.project"
    assert find("L2.within") == "api/scratchadv.sets.ball.html#Ball.within"
    assert find("sets/norms.py") == find("scratchadv.sets.norms") == norms
    for nothing in ("_unit_l1", "Linf.nothing", "x", "np.clip", "fit", "x + 1", "no.py"):
        assert find(nothing) is None


def test_an_argument_in_prose_is_no_function_of_that_name(find):
    """`steps` is most often an argument; `steps(factors)` is the function of optim.py"""
    shown = text.to_html("`steps` and `steps(factors)`", "md", find)
    assert re.findall('<a href="(.*?)"><code>(.*?)</code>', shown) == [
        ("api/scratchadv.training.optim.html#steps", "steps(factors)")
    ]


def test_in_code_a_name_is_what_the_page_imports_or_calls(find):
    """fit is found by its import, rows only where it is called, and no name that the page defines itself"""
    from scratchadv import training

    assert find("fit", called=True, scope={"fit": training.fit}) == "api/scratchadv.training.fitting.html#fit"
    assert find("rows", called=False) is None
    assert find("rows", called=True) == "api/scratchadv.numerics.html#rows"
    assert find("pgd", called=True, scope={"pgd": None}) is None


def test_code_is_linked_and_definitions_are_not(find):
    """def grad(…) of a method is not the engine's grad; a method of something else is not a function of that name"""
    shown = text.to_html("```python\ndef grad(self, z):\n    return z.pgd(z) + pgd(z)\n```", "md", find)
    assert re.findall(r'<a href="(.*?)">', shown) == ["api/scratchadv.attacks.gradient.pgd.html#pgd"]
    assert shown.index("<a ") > shown.index('<span class="o">+')


# Pages of the library


def test_every_public_name_has_an_entry(site):
    """Functions, classes and methods of all modules: page and anchor exist"""
    addresses = set(api.Names().urls.values())
    assert len(addresses) > 300
    anchors = {
        f"api/{path.name}": {"", *re.findall(r'id="([^"]+)"', path.read_text("utf-8"))}
        for path in (site / "api").glob("*.html")
    }
    assert [a for a in addresses if a.partition("#")[2] not in anchors[a.partition("#")[0]]] == []


def test_modules_are_in_reading_order():
    """The sets come first, the linear problem comes before training, and no module is missing"""
    names = [module.__name__.removeprefix("scratchadv.") for module in api.Names().modules()]
    assert names[0] == "sets"
    assert names.index("robust_logistic") < names.index("training.fitting") < names.index("support.archive")
    assert len(set(names)) == len(names)


def test_the_page_of_attacks_leads_to_every_attack(site):
    """A row for each attack of the catalogue, whose name leads to its entry, in a section for each family"""
    page = (site / "attacks.html").read_text("utf-8")
    names = api.Names()
    for attack in catalogue.CATALOGUE:
        assert f'<td><a href="{names.urls[id(attack.function)]}"><code>{attack.name}</code></a></td>' in page
    assert all(f">{family.capitalize()}</h2>" in page for family in catalogue.FAMILIES)
    assert 'href="attacks.html"' in (site / "index.html").read_text("utf-8")


def documented(x, *more):
    r"""One sentence with |δ_j|.

    .. math:: \delta

    Parameters
    ----------
    x : array, shape (N, *D)
        Of ``more``.
    *more
        The rest.

    Raises
    ------
    TypeError, ValueError
        If not.

    Source: slide "A title".

    Examples
    --------
    >>> documented(1)
    2
    """


def test_docstrings_become_sections(find):
    """Parameters and errors as definition lists, source and examples after them, formulas as MathML"""
    owner = type(sys)("owner")
    owner.documented, documented.__module__ = documented, "owner"
    shown = text.to_html(api.module_rst(owner), "rst", find)
    assert '<h2 id="documented">' in shown
    assert "documented(x, *more)</code>" in shown
    assert "<dt><code>x</code> : array, shape (N, *D)</dt>" in shown
    assert "<dt><code>*more</code></dt>" in shown
    assert "<dt>TypeError, ValueError</dt>" in shown
    assert "|δ_j|" in shown
    assert 'slide "A title"' in shown
    assert '<span class="gp">&gt;&gt;&gt; </span>' in shown
    assert re.findall("<strong>(.*?)</strong>", shown) == ["Parameters", "Raises", "Examples", "Source"]


# The checks of the pages, in a browser


@pytest.fixture(scope="module")
def browser():
    """Skip the test where the checks cannot run."""
    if not importlib.util.find_spec("playwright"):
        pytest.skip("playwright is not installed")
    if not check.browser():
        pytest.skip("no Chromium is installed")


def written(folder, name, body):
    head = '<!doctype html><meta charset="utf-8"><title>t</title><link rel="icon" href="data:,"><h1>t</h1>\n'
    (folder / name).write_text(head + body, "utf-8")


WRONG = {
    "raw formula: so $x_i$ is": "<p>so $x_i$ is",
    "raw formula: a \\frac{1}{2} b": r"<p>a \frac{1}{2} b",
    "raw formula: \\begin{aligned}": r"<p>\begin{aligned} a",
    "asks the network for http://example.org/a.png": '<img alt="" src="http://example.org/a.png">',
    "asks the network for https://example.org/a.js": '<script src="https://example.org/a.js"></script>',
    "asks the network for http://example.org/a.css": "<style>@import url(http://example.org/a.css)</style>",
    "no such file: file://": '<a href="nowhere.html">a</a>',
    "no such anchor: file://": '<a href="good.html#nowhere">a</a>',
    "could not load file://": '<img alt="" src="nothing.png">',
    "picture without a description: data:": '<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">',
    "2 titles (h1)": "<h1>again</h1>",
    "is 508 pixels wide": '<p style="width: 500px">wide',
    "console: hm": "<script>console.error('hm')</script>",
    "script: nothing is not defined": "<script>nothing()</script>",
}
GOOD = (
    '<p id="here">Text <code>$x$ \\frac</code> <a href="other.html#there">a</a> <a href="#here">b</a>'
    '<a href="https://example.org">c</a>'
)


@pytest.fixture(scope="module")
def problems(browser, tmp_path_factory):
    """Return what the checks report about wrong pages and good ones."""
    folder = tmp_path_factory.mktemp("pages")
    written(folder, "good.html", GOOD)
    written(folder, "other.html", '<p id="there">')
    for k, body in enumerate(WRONG.values()):
        written(folder, f"wrong{k}.html", body)
    return check.check(folder)


@pytest.mark.parametrize(("k", "problem"), list(enumerate(WRONG)), ids=list(WRONG))
def test_what_is_wrong_with_a_page_is_found(problems, k, problem):
    """Each wrong page has its problem"""
    found = [line.removeprefix(f"wrong{k}.html: ") for line in problems if line.startswith(f"wrong{k}.html: ")]
    assert any(line.startswith(problem) for line in found)


def test_good_pages_have_no_problem(problems):
    """Code may hold formulas, links may lead to pages, to anchors and to other sites"""
    assert [line for line in problems if not line.startswith("wrong")] == []


def test_the_built_site_has_no_problem(browser, site):
    """Every page of the small site, the library's pages included"""
    assert check.check(site) == []
