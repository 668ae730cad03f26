"""Check every page in a headless Chromium: no raw formula, no request, no error, no broken link."""

import shutil
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit
from urllib.request import url2pathname

from scratchadv.support.optional import needed_by

PHONE = {"width": 390, "height": 844}

# # what the page itself can report: text outside code and formulas, addresses, anchors, and its width
LOOK = r"""() => {
  const bare = document.body.cloneNode(true);
  bare.querySelectorAll("code, pre, math, script, style").forEach(e => e.remove());
  const all = (selector, pick) => [...document.querySelectorAll(selector)].map(pick);
  return {
    raw: bare.textContent.match(/.{0,30}(\$|\\[a-zA-Z]+|\\[()\[\]]).{0,30}/g) || [],
    addresses: all("[href], [src]", e => e.href || e.src),
    anchors: all("[id]", e => e.id),
    unnamed: all("img:not([alt])", e => e.src),
    titles: all("h1", e => e.textContent).length,
    width: document.documentElement.scrollWidth,
  };
}"""


def browser():
    """Return the path of a Chromium, or None."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next(filter(None, map(shutil.which, names)), None)


def check(out):
    """Return the problems of all pages in a folder, each with the page's name; an empty list if there are none."""
    with needed_by("--check", "Playwright", "lectures"):
        from playwright.sync_api import sync_playwright

    pages = sorted(out.rglob("*.html"))
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=browser(), args=["--no-sandbox"])
        context = chromium.new_context(viewport=PHONE, offline=True)
        seen = {path.resolve().as_uri(): _open(context, path) for path in pages}
        chromium.close()
    return [
        f"{path.relative_to(out)}: {problem}" for path in pages for problem in _problems(path.resolve().as_uri(), seen)
    ]


def _open(context, path):
    """Return what one page contains, and its requests and errors."""
    page = context.new_page()
    heard = []
    page.on("request", lambda request: _is_local(request.url) or heard.append(f"asks the network for {request.url}"))
    page.on("console", lambda message: message.type == "error" and heard.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: heard.append(f"script: {error}"))
    page.on("requestfailed", lambda request: heard.append(f"could not load {request.url}"))
    page.goto(path.resolve().as_uri())
    look = page.evaluate(LOOK)
    page.close()
    return look | {"heard": heard}


def _problems(address, seen):
    look = seen[address]
    yield from look["heard"]
    yield from (f"raw formula: {text.strip()}" for text in look["raw"])
    yield from (f"picture without a description: {source}" for source in look["unnamed"])
    if look["titles"] != 1:
        yield f"{look['titles']} titles (h1); one is expected"
    if look["width"] > PHONE["width"]:
        yield f"is {look['width']} pixels wide on a phone of {PHONE['width']}"
    for link in dict.fromkeys(look["addresses"]):
        target, anchor = urldefrag(link)
        if target in seen and anchor and unquote(anchor) not in seen[target]["anchors"]:
            yield f"no such anchor: {link}"
        elif target.startswith("file:") and target not in seen and not _exists(target):
            yield f"no such file: {link}"


def _is_local(url):
    return url.startswith(("file:", "data:"))


def _exists(url):
    return Path(url2pathname(urlsplit(url).path)).exists()
