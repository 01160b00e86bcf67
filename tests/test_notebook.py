"""The notebook of the examples runs as it is stored, and every value of the spine displays itself in it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

from displayed import read_html
from unetscope.information.profile_text import GATES, LAYERS
from unetscope.scores.scores_text import CLASS_COLUMNS
from unetscope.slimming.plan_text import COST_COLUMNS, DECISION_COLUMNS
from unetscope.tables import Table

STORED = Path(__file__).parent.parent / "examples" / "spine.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> NotebookNode:
    """The notebook after all its cells have run, in a folder of its own."""
    folder = tmp_path_factory.mktemp("notebook")
    notebook = nbformat.read(STORED, as_version=4)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("TMPDIR", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"):
            patch.setenv(name, str(folder))
        NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def outputs(executed: NotebookNode, kind: str) -> list[str]:
    """What the cells display in a form, from top to bottom."""
    shown = [output for cell in executed.cells for output in cell.get("outputs", ())]
    return [output.data[kind] for output in shown if kind in output.get("data", {})]


def test_it_is_stored_without_what_it_displays() -> None:
    cells = json.loads(STORED.read_text(encoding="utf-8"))["cells"]
    codes = [cell for cell in cells if cell["cell_type"] == "code"]
    assert codes and all(cell["outputs"] == [] and cell["execution_count"] is None for cell in codes)


def test_its_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", STORED.read_text(encoding="utf-8"))
    assert links and [link for link in links if not (STORED.parent / link).exists()] == []


@pytest.mark.slow
def test_scores_profile_plan_and_comparison_display_themselves(executed: NotebookNode) -> None:
    blocks = [read_html(html) for html in outputs(executed, "text/html")]
    scores, profile, plan, comparison = ([b.columns for b in each if isinstance(b, Table)] for each in blocks)
    assert scores == [CLASS_COLUMNS]
    assert profile == [LAYERS, GATES]
    assert plan == [DECISION_COLUMNS, COST_COLUMNS]
    assert [columns[0] for columns in comparison] == ["network", "network"]


@pytest.mark.slow
def test_it_draws_a_picture_and_prints_no_warning(executed: NotebookNode) -> None:
    assert len(outputs(executed, "image/png")) == 1
    assert [output.text for cell in executed.cells for output in cell.get("outputs", ()) if "text" in output] == []
