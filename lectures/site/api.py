"""The pages of the library: every public function, class and method with its docstring."""

import importlib
import inspect
import pkgutil
import re
import textwrap
from contextlib import suppress
from functools import cached_property
from types import MethodType

from numpydoc.docscrape import NumpyDocString

import scratchadv
from scratchadv.attacks import catalogue
from scratchadv.support import tables

MODULES = {"scratchadv": scratchadv} | {
    found.name: importlib.import_module(found.name)
    for found in pkgutil.walk_packages(scratchadv.__path__, "scratchadv.")
    if not found.name.endswith(".__main__")
}


def public(owner):
    """Yield the public functions and classes that a module defines, or the public methods and properties of a class."""
    for name, thing in vars(owner).items():
        bare = _function(thing)
        if inspect.ismodule(owner):
            own = getattr(thing, "__module__", None) == owner.__name__ and getattr(thing, "__name__", None) == name
        else:
            own = getattr(bare, "__qualname__", "").startswith(owner.__qualname__) and inspect.getdoc(bare)
        if own and not name.startswith("_") and (inspect.isfunction(bare) or inspect.isclass(bare)):
            yield name, thing


def _function(thing):
    """Return the function in a class method, a static method or a property."""
    match thing:
        case classmethod() | staticmethod() | MethodType():
            return thing.__func__
        case property():
            return thing.fget
        case cached_property():
            return thing.func
    return thing


class Names:
    """The address at which each public name of the library is documented."""

    def __init__(self):
        self.urls = {}
        self.bare = {}
        self.arguments = set()
        for module in self.modules():
            page = f"api/{module.__name__}.html"
            self.urls[id(module)] = page
            for name, thing in public(module):
                self.urls[id(thing)] = f"{page}#{name}"
                self.bare[name] = None if name in self.bare else thing
                self.arguments |= set(inspect.signature(thing).parameters) if inspect.isfunction(thing) else set()
                if inspect.isclass(thing):
                    self.urls |= {id(_function(m)): f"{page}#{name}.{method}" for method, m in public(thing)}

    def modules(self):
        """Return the modules that have a page: first in the reading order of the package, then the others by name."""
        order = [found for path in re.findall(r"``([\w/.]+)``", scratchadv.__doc__) for found in _inside(path)]
        names = dict.fromkeys([*order, *sorted(MODULES)])
        return [MODULES[n] for n in names if (MODULES[n].__doc__ or "").strip() or any(public(MODULES[n]))]

    def find(self, dotted, called=None, scope=None):
        """Return the address of a name, or None.

        Parameters
        ----------
        dotted : str
            ``pgd``, ``Linf.project``, ``attacks.pgd``, ``attacks/exact.py``.
        called : bool, optional
            Whether an opening bracket follows the name in code; None in prose. A name that is not in the scope is
            found in code only if it is called, and in prose only if no argument has that name.
        scope : dict, optional
            The meaning of names on the page; None for a name that the page defines itself.
        """
        if path := re.fullmatch(r"(?:scratchadv/)?([\w/]+)(?:\.py|/)", dotted):
            return self.urls.get(id(MODULES.get(f"scratchadv.{path[1].replace('/', '.')}")))
        if not re.fullmatch(r"[A-Za-z]\w*(\.\w+)*", dotted):
            return None
        first, *rest = dotted.split(".")
        if scope and first in scope:
            thing = scope[first]
        elif called is False or (called is None and dotted in self.arguments):
            return None
        else:
            room = getattr(scratchadv, first, None) if rest else None
            thing = scratchadv if first == "scratchadv" else room or self.bare.get(first)
        for part in rest:
            thing = getattr(thing, part, None)
        return self.urls.get(id(_function(thing)))


def _inside(path):
    """Return the names of the module of a file, or of all modules in a folder."""
    name = "scratchadv." + path.removesuffix(".py").strip("/").replace("/", ".")
    return [n for n in MODULES if n == name or n.startswith(name + ".")]


def module_rst(module):
    """Return the page of a module as reStructuredText, without its title."""
    parts = [_docstring(module)]
    handed_out = {n: t for n in getattr(module, "__all__", []) if callable(t := getattr(module, n))}
    if handed_out:
        parts.append("\n".join(f"- ``{n}``: {_first_sentence(t)}" for n, t in handed_out.items()))
    for name, thing in public(module):
        parts.append(_entry(thing, name, 2))
        if inspect.isclass(thing):
            parts += [_entry(method, f"{name}.{short}", 3) for short, method in public(thing)]
    text = "\n\n".join(parts)
    # |δ| is meant literally, but reStructuredText would look for a substitution of that name
    bars = dict.fromkeys(re.findall(r"\|([^\s|`](?:[^|`\n]*[^\s|`])?)\|", text))
    return "\n".join([text, "", *(rf".. |{inside}| replace:: \|{inside}\|" for inside in bars)])


def attacks_markdown():
    """The page of all attacks in Markdown: a table for each family, then who makes which promise."""
    parts = ["# Attacks", "Every attack of the library, as `scratchadv.attacks` has it, from its catalogue."]
    for family, sentence in catalogue.FAMILIES.items():
        parts += [f"## {family.capitalize()}", sentence, catalogue.markdown(catalogue.by_family(family))]
    made = [
        [meaning, ", ".join(f"`{attack.name}`" for attack in catalogue.CATALOGUE if promise in attack.promises)]
        for promise, meaning in catalogue.PROMISES.items()
    ]
    intro = (
        "The contract of attacks holds each of them to what it promises: `scratchadv.testing.assert_attack_contract`."
    )
    table = tables.markdown(["the attack …", "promised by"], made)
    return "\n\n".join([*parts, "## Promises", intro, table])


def _first_sentence(thing):
    return (inspect.getdoc(thing) or "").split("\n\n")[0].replace("\n", " ")


def _entry(thing, name, level):
    """Return heading, signature, docstring and, for functions and classes, the source."""
    parts = [_raw(f'<h{level} id="{name}"><code>{name}</code></h{level}>')]
    if not isinstance(thing, (property, cached_property)):
        parts.append(_code("signature", name.split(".")[-1] + _signature(thing, level)))
    parts.append(_docstring(_function(thing)))
    if level == 2:
        with suppress(OSError):  # a function made by a decorator of hypothesis has no source
            code = _code("python", inspect.getsource(thing).rstrip())
            parts += [_raw('<details class="code"><summary>Source code</summary>'), code, _raw("</details>")]
    return "\n\n".join(parts)


def _signature(thing, level):
    try:
        signature = inspect.signature(_function(thing))
    except ValueError:  # an exception has the signature of its base
        return "(*args)"
    if level == 3 and not isinstance(thing, staticmethod):
        signature = signature.replace(parameters=list(signature.parameters.values())[1:])
    return re.sub(r"<(function|class|object) ?'?([\w.]+).*?>", r"\2", str(signature))


def _docstring(thing):
    """Turn a numpydoc docstring into reStructuredText that pandoc reads: sections become definition lists."""
    text = inspect.getdoc(thing) or ""
    source = re.findall(r"^(Source|Reference)s?: (.*?)(?=\n\s*\n|\Z)", text, re.DOTALL | re.MULTILINE)
    text = re.sub(r"^(Source|Reference)s?: .*?(?=\n\s*\n|\Z)", "", text, flags=re.DOTALL | re.MULTILINE)
    if not re.search(r"^-{4,}$", text, re.MULTILINE):
        return "\n\n".join([_examples(text), *map(_source, source)])
    doc = NumpyDocString(text)
    parts = ["\n".join(doc["Summary"]), _examples("\n".join(doc["Extended Summary"]))]
    for title in ("Attributes", "Parameters", "Returns", "Yields", "Raises", "Warns"):
        if doc[title]:
            parts += [f"**{title}**", "\n".join(map(_item, doc[title]))]
    for title in ("Notes", "References", "Examples"):
        if doc[title]:
            parts += [f"**{title}**", _examples("\n".join(doc[title]))]
    return "\n\n".join([*parts, *map(_source, source)])


def _source(found):
    return f"**{found[0]}**\n\n{found[1]}"


def _item(parameter):
    name, kind, lines = parameter
    kind = kind if "``" in kind else re.sub(r"([*`_|\\])", r"\\\1", kind)
    head = " : ".join([f"``{name}``"] * bool(name) + [kind] * bool(kind))
    return f"{head}\n{textwrap.indent(_examples(chr(10).join(lines)) or '..', '   ')}"


def _examples(text):
    """Turn doctests into blocks of code."""
    found = re.compile(r"^>>> .*?(?=\n\s*\n|\Z)", re.DOTALL | re.MULTILINE)
    return found.sub(lambda block: _code("pycon", block[0]), text)


def _code(language, code):
    return f".. code-block:: {language}\n\n{textwrap.indent(code, '   ')}\n"


def _raw(html):
    return f".. raw:: html\n\n   {html}"
