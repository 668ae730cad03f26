"""Convert text to HTML: pandoc reads it, pygments colours the code, and names of the library become links."""

import html
import re
from functools import cache

import pypandoc
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

READ = {"md": "gfm+tex_math_dollars+attributes", "rst": "rst"}
OPTIONS = ["--mathml", "--syntax-highlighting=none", "--wrap=none"]

PARTS = re.compile(
    r'<a (?P<rest>[^>]*)href="(?P<href>[^"]*)"[^>]*>(?P<label>.*?)</a>|(?P<head><(?P<tag>h[1-6]|dt)\b.*?</(?P=tag)>)'
    r'|<pre(?: class="(?P<language>[\w -]+)")?><code>(?P<block>.*?)</code></pre>|<code[^>]*>(?P<code>.*?)</code>',
    re.DOTALL,
)
NAME = r'<span class="n[^fc]?">([\w.]+)</span>'
DOT = r'<span class="o">\.</span>'
CHAIN = re.compile(
    rf'(?P<after>{DOT}|<span class="w"> +</span>)?(?P<chain>{NAME}(?:{DOT}{NAME})*)(?P<call><span class="p">\()?'
)


def to_html(text, form, link, local=lambda href: href, options=()):
    """Return the text as a fragment of HTML.

    Parameters
    ----------
    text : str
    form : {"md", "rst"}
    link : callable
        ``link(name)`` is the address of a dotted name of the library, or None. In code the call is
        ``link(name, called=…)``, which also says whether an opening bracket follows the name.
    local : callable
        ``local(href)`` is the address in the site of a link in the text, or None.
    options : list of str
        Further options for pandoc.
    """
    fragment = pypandoc.convert_text(
        text, "html5", format=READ[form], extra_args=[*OPTIONS, *options], verify_format=False
    )
    fragment = PARTS.sub(lambda part: _part(part, link, local), fragment)
    fragment = re.sub(r"<table.*?</table>", _scrolling("div", "table"), fragment, flags=re.DOTALL)
    norm_bar = '<mo stretchy="false" lspace="0" rspace="0">‖</mo>'
    fragment = re.sub(r"<mo [^>]*>∥</mo>", norm_bar, fragment)
    fragment = re.sub(r'<mi mathvariant="normal">(?=\w\w)', '<mi class="word" mathvariant="normal">', fragment)
    return re.sub(r"<math .*?</math>[.,;:]?", _formula, fragment, flags=re.DOTALL)


def plain(fragment):
    """Return the text of a fragment, without the sources of formulas."""
    return re.sub(r"<[^>]+>", "", re.sub(r"<annotation.*?</annotation>", "", fragment, flags=re.DOTALL))


def _formula(found):
    """Return a formula that scrolls if the page is too narrow for it; of the formulas in a line, only the long ones."""
    if 'display="block"' in found[0]:
        return _scrolling("span", "formula")(found)
    return f'<span class="long">{found[0]}</span>' if len(re.findall("<m[ino]", found[0])) > 20 else found[0]


def _scrolling(tag, label):
    return lambda found: f'<{tag} class="scroll" role="group" aria-label="{label}" tabindex="0">{found[0]}</{tag}>'


def _part(part, link, local):
    """Return one link, heading, block of code or piece of code with its links."""
    if part["head"]:
        return part["head"]
    if part["href"] is not None:
        url = local(html.unescape(part["href"]))
        inner = re.fullmatch("<code>(.*)</code>", part["label"])
        exact = inner and _linked(inner[1], link) if url and url.startswith("api/") else None
        return f'<a {part["rest"]}href="{html.escape(exact or url)}">{part["label"]}</a>' if url else part["label"]
    if part["block"] is not None:
        return _block(html.unescape(part["block"]), part["language"], link)
    url = _linked(html.unescape(part["code"]), link)
    code = f"<code>{part['code']}</code>"
    return f'<a href="{url}">{code}</a>' if url else code


def _linked(code, link):
    """Return the address of a name in prose, or of the function in a call such as ``Linf(0.2)``."""
    call = re.fullmatch(r"([\w.]+)\([^()]*\)", code)
    return link(call[1], called=True) if call else link(code)


def _block(code, language, link):
    coloured = html.escape(code, quote=False)
    if language in ("python", "pycon"):
        coloured = highlight(code, _lexer(language), HtmlFormatter(nowrap=True))
        coloured = CHAIN.sub(lambda chain: _chain(chain, link), coloured)
    return f'<pre class="{language or "text"}" tabindex="0"><code>{coloured.rstrip()}</code></pre>'


@cache
def _lexer(language):
    return get_lexer_by_name(language, stripnl=False)


def _chain(found, link):
    """Return a dotted name in coloured code, with a link if it is a name of the library."""
    dotted = re.sub(r"<[^>]+>", "", found["chain"])
    url = None if found["after"] and "." in found["after"] else link(dotted, called=bool(found["call"]))
    return found[0].replace(found["chain"], f'<a href="{url}">{found["chain"]}</a>') if url else found[0]
