"""Reports of a store that was filled by hand, as files."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from filled import Filled, fill

import unlearnkit
from unlearnkit.report.charts import Charts, charts
from unlearnkit.report.collect import collect
from unlearnkit.report.subject import Subject, subject
from unlearnkit.runs.workplace import Workplace
from unlearnkit.settings import Settings


@pytest.fixture(scope="package")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    return fill(tmp_path_factory.mktemp("filled") / "unlearnkit.db")


@pytest.fixture(scope="package")
def written(filled: Filled) -> str:
    """The page, with texts."""
    path = unlearnkit.report_html(filled.path.with_name("report.html"), text=True, store=filled.path)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="package")
def about(filled: Filled) -> Iterator[Subject]:
    with Workplace(Settings(store=str(filled.path))) as place:
        yield subject(place, collect(place, ()), ())


@pytest.fixture(scope="package")
def drawn(about: Subject) -> dict[str, Charts]:
    return dict(charts(about))
