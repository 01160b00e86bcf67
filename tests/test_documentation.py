"""The documentation against the program: nothing that a user can say is missing, and nothing is said that is not so."""

from __future__ import annotations

import ast
import doctest
import inspect
import re
import shlex
import tomllib
import unicodedata
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import numpy as np
import pytest
from cyclopts import Argument

import unetscope
from unetscope.cli import app, main
from unetscope.data.dataset import Dataset
from unetscope.data.declaration import FILE_NAME, Declaration, read_declaration
from unetscope.data.formats.registry import LABEL_SUFFIXES, SUFFIXES
from unetscope.data.images import write_image
from unetscope.data.labelling import Kind
from unetscope.data.layout import find_layout
from unetscope.fetching.catalog import SETS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
DATA, PYTHON, TUTORIAL = DOCS / "data.md", DOCS / "python.md", DOCS / "tutorial.md"
PAGES = (ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md")))
COMMANDS = tuple(name for name in app if not name.startswith("-"))
SECTIONS = ("Options", "What is written", "Exit codes", "Messages")


@cache
def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, *kinds: str) -> list[str]:
    """The fenced blocks of some kinds, in order."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text_of(page), flags=re.MULTILINE | re.DOTALL)
    return [body for kind, body in found if kind in kinds]


def rows(text: str) -> list[list[str]]:
    """The cells of all tables, line by line."""
    lines = re.findall(r"^\| (.*) \|$", text, flags=re.MULTILINE)
    return [[cell.strip() for cell in line.split(" | ")] for line in lines]


def named(page: Path) -> dict[str, list[str]]:
    """The lines of tables that begin with a name in code, by that name."""
    return {row[0].strip("`"): row[1:] for row in rows(text_of(page)) if re.fullmatch(r"`[^`]+`", row[0])}


def section(page: Path, title: str) -> str:
    """What stands below a heading."""
    parts = re.split(r"^## (.*)$", text_of(page), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[title]


def name_ids(page: Path) -> str:
    return str(page.relative_to(ROOT))


# ------------------------------------------------------------------------------------------------------ commands


def page_of(command: str) -> Path:
    return DOCS / "commands" / f"{command}.md"


def arguments(command: str) -> dict[str, Argument]:
    """What a command takes, by the name that help shows."""
    found = app[command].assemble_argument_collection(default_parameter=app.default_parameter)
    return {argument.name: argument for argument in found if argument.show}


def test_every_command_has_its_page_and_every_page_its_command() -> None:
    assert {page.stem for page in (DOCS / "commands").glob("*.md")} - {"README"} == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_page_has_all_its_parts(command: str) -> None:
    headings = re.findall(r"^## (.*)$", text_of(page_of(command)), flags=re.MULTILINE)
    assert [part for part in SECTIONS if part not in headings] == []
    assert text_of(page_of(command)).startswith(f"# unetscope {command}\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_on_its_page_and_no_other(command: str) -> None:
    said = {name for name in named(page_of(command)) if re.fullmatch("--[a-z-]+|[A-Z]+", name)}
    assert said == set(arguments(command))


@pytest.mark.parametrize("command", COMMANDS)
def test_defaults_are_those_of_the_program(command: str) -> None:
    page = named(page_of(command))
    for name, argument in arguments(command).items():
        said, default = page[name][0], argument.field_info.default
        if argument.required:
            assert said == "required", name
        elif default is False:
            assert said == "off", name
        elif default is None or default in ("", ()):
            assert said not in ("", "-", "off", "required"), name
        else:
            assert said == f"`{default}`", name


@pytest.mark.parametrize("command", COMMANDS)
def test_every_choice_of_an_option_is_named(command: str) -> None:
    page = named(page_of(command))
    for name, argument in arguments(command).items():
        missing = [choice for choice in choices(argument.hint) if f"`{choice}`" not in " ".join(page[name])]
        assert missing == [], name


def choices(hint: Any) -> tuple[str, ...]:
    """The words that a type allows, if it lists them."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    return tuple(choice for part in get_args(hint) for choice in choices(part))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_page_shows_commands_of_its_own(command: str) -> None:
    assert any(words[0] == command for words in commands_in(page_of(command)))


@pytest.mark.parametrize("page", PAGES, ids=name_ids)
def test_every_command_that_is_shown_is_understood(page: Path) -> None:
    for words in commands_in(page):
        _, bound, _ = app.parse_args(words, print_error=False, exit_on_error=False)
        assert bound.arguments or words in (["fetch"], ["demo"], ["calibrate"])


def commands_in(page: Path) -> Iterator[list[str]]:
    """The words of every unetscope command in the blocks of a shell."""
    for block in blocks(page, "sh", "bash", "console"):
        for line in block.replace("\\\n", " ").splitlines():
            for command in line.split("&&"):
                words = shlex.split(command, comments=True)
                if words and words[0] == "unetscope":
                    yield words[1:]


def test_the_sets_that_can_be_fetched_are_listed() -> None:
    assert {public.name for public in SETS} <= named(page_of("fetch")).keys()


# ------------------------------------------------------------------------------------------------------ messages


@cache
def sentences() -> str:
    """All texts in the source, one a line, with a gap where something is filled in."""
    found = []
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.append(
                    "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


@pytest.mark.parametrize("command", COMMANDS)
def test_messages_are_those_of_the_program(command: str) -> None:
    said = [row[0] for row in rows(section(page_of(command), "Messages"))]
    messages = [each for each in said if each not in ("message", "error", "warning")]
    assert messages
    for message in messages:
        pieces = [piece.strip(" .,;:") for piece in message.removeprefix("warning: ").split("…")]
        missing = [piece for piece in pieces if len(piece) > 3 and piece not in sentences()]
        assert missing == [], message


# ------------------------------------------------------------------------------------------------------ what comes in


def test_every_suffix_says_whether_it_is_for_images_and_for_labels() -> None:
    said = {name: cells[:2] for name, cells in named(DATA).items() if name.startswith(".")}
    words = {True: "yes", False: "no"}
    known = dict.fromkeys((*SUFFIXES, *LABEL_SUFFIXES))
    assert said == {suffix: [words[suffix in SUFFIXES], words[suffix in LABEL_SUFFIXES]] for suffix in known}


def test_every_key_of_the_declaration_and_every_kind_is_explained() -> None:
    keys = {field.name for field in fields(Declaration)} - {"place"}
    kinds = set(get_args(Kind))
    assert keys | kinds <= named(DATA).keys()
    table = re.split(r"^## ", text_of(DATA), flags=re.MULTILINE)
    declared = next(part for part in table if part.startswith(FILE_NAME))
    assert set(re.findall(r"^\| `(\w+)` \|", declared, flags=re.MULTILINE)) == keys


@pytest.mark.parametrize("page", [ROOT / "README.md", DATA, TUTORIAL], ids=name_ids)
def test_every_declaration_that_is_shown_is_understood(page: Path, tmp_path: Path) -> None:
    shown = blocks(page, "toml")
    assert shown
    for text in shown:
        (tmp_path / FILE_NAME).write_text(text, encoding="utf-8")
        declaration = read_declaration(tmp_path)
        assert declaration.labelling() is not None, text


def test_every_layout_that_is_shown_opens(tmp_path: Path) -> None:
    trees = [block for block in blocks(DATA, "text") if "/\n" in block]
    assert len(trees) == 4
    for number, tree in enumerate(trees):
        folder, *paths = tree.split()
        root = tmp_path / str(number) / folder
        for path in paths:
            make_file(root / path)
        found = find_layout(root, "images", "labels")
        assert found.problems == ()
        images = [path for path in paths if "/images/" in f"/{path}" or path.startswith("imagesTr")]
        assert len(found.items) == len(images)
        assert Dataset.open(root).read(found.items[0])[0].shape == (1, 8, 8)


def make_file(path: Path) -> None:
    """A small file of the kind that its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".txt":
        path.write_text("c\n", encoding="utf-8")
    elif path.suffix == ".json":
        content = '{"channel_names": {"0": "MR"}, "labels": {"background": 0, "part": 1}, "file_ending": ".tif"}'
        path.write_text(content, encoding="utf-8")
    else:
        write_image(path, np.eye(8, dtype=np.uint8)[::-1] if "mages" in str(path) else np.eye(8, dtype=np.uint8))


@pytest.mark.parametrize(
    "word",
    ["train.txt", "validation.txt", "val.txt", "test.txt", "`train`", "`validation`", "`val`", "`test`", "imagesTr",
     "labelsTr", "imagesTs", "labelsTs", "dataset.json"],
)  # fmt: skip
def test_every_name_of_a_folder_or_list_that_means_something_is_told(word: str) -> None:
    assert word in text_of(DATA)


# ------------------------------------------------------------------------------------------------------ Python


@pytest.mark.parametrize("name", unetscope.__all__)
def test_every_public_name_has_its_section(name: str) -> None:
    said = section(PYTHON, name)
    assert f"import {name}" in said or f", {name}" in said
    if inspect.isfunction(getattr(unetscope, name)):
        parameters = inspect.signature(getattr(unetscope, name)).parameters
        assert [each for each in parameters if not re.search(rf"\b{each}\b", said)] == []


def test_the_examples_in_python_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    found = doctest.testfile(str(PYTHON), module_relative=False, optionflags=flags)
    assert found.attempted > 30
    assert not found.failed


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of somebody who has typed all Python of the tutorial."""
    pytest.importorskip("nibabel")
    folder = tmp_path_factory.mktemp("tutorial")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for block in blocks(TUTORIAL, "python"):
            exec(compile(block, str(TUTORIAL), "exec"), {})
    return folder


def test_every_check_of_the_tutorial_prints_what_is_shown(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workplace)
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", text_of(TUTORIAL), flags=re.MULTILINE | re.DOTALL)
    checked = 0
    for (kind, said), (next_kind, shown) in pairwise(fences):
        if kind == "toml":
            Path("village/dataset.toml").write_text(said, encoding="utf-8")
        if kind == "sh" and next_kind == "text" and re.fullmatch(r"unetscope (check .*|fetch)\n", said):
            main(shlex.split(said)[1:])
            assert capsys.readouterr().err == shown
            checked += 1
    assert checked >= 5


# ------------------------------------------------------------------------------------------------------ pages


def anchors(page: Path) -> set[str]:
    """The places in a page that a link can name, as GitHub calls them."""
    found: dict[str, int] = {}
    for heading in re.findall(
        r"^#+ (.*)$", re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL), flags=re.MULTILINE
    ):
        kept = "".join(c for c in heading.lower() if c in " -_" or unicodedata.category(c)[0] in "LN")
        slug = kept.replace(" ", "-")
        found[slug] = found.get(slug, -1) + 1
    return {slug if number == 0 else f"{slug}-{number}" for slug, count in found.items() for number in range(count + 1)}


@pytest.mark.parametrize("page", PAGES, ids=name_ids)
def test_every_link_leads_somewhere(page: Path) -> None:
    prose = re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, place = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not place or place in anchors(target), link


def test_every_page_is_reached_from_the_index() -> None:
    linked = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in (DOCS / "README.md", DOCS / "commands" / "README.md")
        for link in re.findall(r"\]\(([^)\s]+\.md[^)\s]*)\)", text_of(page))
    }
    assert set(DOCS.rglob("*.md")) - linked <= {DOCS / "README.md"}


@pytest.mark.parametrize("page", PAGES, ids=name_ids)
def test_pictures_are_small_and_have_words(page: Path) -> None:
    for words, link in re.findall(r"!\[(.*?)\]\(([^)\s]+)\)", text_of(page)):
        assert len(words) > 15, link
        assert (page.parent / link).stat().st_size < 500_000, link


def test_every_extra_is_told() -> None:
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = content["project"]["optional-dependencies"].keys() - {"dev", "bench"}
    told = "".join(text_of(page) for page in PAGES)
    assert [extra for extra in extras if f"unetscope[{extra}]" not in told] == []
