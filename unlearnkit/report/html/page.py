"""The report as one HTML file that asks for nothing: styles, scripts and data are in it.

Whatever comes from a store is untrusted. Jinja escapes it, control and direction-changing characters are shown as
escapes, data for charts are JSON without "<", ">" and "&", and the page's own policy lets nothing run or load but the
script and the style whose hashes it names. Charts need no eval: Vega interprets its expressions.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from functools import cache
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from unlearnkit.report.charts.chart import theme
from unlearnkit.report.charts.files import version as vega_lite
from unlearnkit.report.collect import by_kind
from unlearnkit.report.html import numbers
from unlearnkit.report.html.cards import cards
from unlearnkit.report.html.commands import commands
from unlearnkit.report.html.glossary import glossary
from unlearnkit.report.html.samples import samples
from unlearnkit.text import clean
from unlearnkit.version import __version__

if TYPE_CHECKING:
    from unlearnkit.report.asserted import Clause
    from unlearnkit.report.charts import Charts
    from unlearnkit.report.subject import Subject

HERE = Path(__file__).parent
TITLE = "What was forgotten, and what was kept"
LEAD = (
    "Read from the top: which runs there are, how far each model forgot and what that cost, how it went, for whom it "
    "was hard, and whether it lasts. Nothing here was measured anew: every number is read from the store."
)
SECTIONS = {
    "about": "This report",
    "runs": "Runs",
    "frontier": "Forgetting against keeping",
    "steps": "Training, step by step",
    "difficulty": "Difficulty",
    "thirds": "Results by difficulty",
    "numbers": "Every number",
    "attacks": "Under attack",
    "samples": "Before and after",
    "again": "To do it again",
    "glossary": "What the numbers are",
}


def page(about: Subject, drawn: Mapping[str, Charts], clauses: Sequence[Clause] = (), *, text: bool = False) -> str:
    """The whole page.

    Args:
        drawn: the charts, by section.
        clauses: what was asserted, for a verdict at the top.
        text: show samples' texts, where the store holds them.
    """
    style, script = _whole("report.css"), _script()
    return _environment().get_template("page.html").render(
        policy=_policy(script, style),
        style=Markup(style), script=Markup(script),  # noqa: S704 - the package's own files and Vega, nothing of a store's
        title=TITLE, lead=LEAD, sections=SECTIONS, version=__version__, store=about.place.reading().uuid,
        made=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M"),
        counts=by_kind(about.runs) or "none", more=by_kind(about.left_out),
        verdict=numbers.verdict(about, clauses), asserted=len(clauses), missed=sum(not c.met for c in clauses),
        cards=cards(about), charts=drawn, thirds=numbers.thirds(about), numbers=numbers.numbers(about),
        attacks=numbers.attacks(about), samples=samples(about, text=text), commands=commands(about),
        glossary=glossary(about), theme=theme("currentColor", None),
        specs={chart.name: chart.spec for of in drawn.values() for chart in of.drawn},
    )  # fmt: skip


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, finalize=_shown, undefined=StrictUndefined
    )
    made.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    made.filters["groupby_in_order"] = _in_order
    made.filters["joined"] = lambda text: " ".join(text.split())
    return made


def _shown(value: Any) -> Any:
    """Plain text without what could turn its direction or end its line."""
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _in_order(rows: Iterable[Any], attribute: str) -> Iterator[tuple[Any, list[Any]]]:
    """Neighbours with the same attribute together."""
    return ((value, list(of)) for value, of in groupby(rows, key=attrgetter(attribute)))


@cache
def _script() -> str:
    """Vega, Vega-Lite and vega-embed in the versions that altair checked the charts against, and the page's own."""
    import vl_convert

    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=vega_lite())
    return _inline(f"{bundle}\n{_whole('report.js')}")


def _whole(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _inline(script: str) -> str:
    """A script as it may stand between its tags: nothing in it ends them, and a parser leaves its lines as they are."""
    safe = script.replace("</script", "<\\/script").replace("<!--", "<\\!--")
    return safe.replace("\r\n", "\n").replace("\r", "\n")


def _policy(script: str, style: str) -> str:
    """What the browser lets the page do: run this script, wear this style, and nothing else."""
    allowed = f"script-src {_hash(script)}; style-src {_hash(style)}"
    return f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
