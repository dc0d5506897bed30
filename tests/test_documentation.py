"""The documentation: every command is in it, what is made is current, what is named exists."""

import os
import re
import shutil
import subprocess
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path

import click
import pytest

from queuectl._version import __version__
from queuectl.commands.declare import Command, Group
from queuectl.commands.root import root
from queuectl.errors import ExitCode
from queuectl.settings import SETTINGS
from tools.__main__ import DOCS, PAGES
from tools.declarations import EXIT_CODES, of_commands, of_program, walk
from tools.pictures import SCENES, Scene

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted(walk(root))
TEXTS = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md")])
PLOT = DOCS / "pictures" / "performance.svg"  # of measured values, not of the shell
PICTURES = sorted(set((DOCS / "pictures").glob("*.svg")) - {PLOT})
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("path, command", COMMANDS, ids=[path for path, _ in COMMANDS])
def test_command_has_help_with_examples(path: str, command: click.Command) -> None:
    """Help begins with a sentence; each example is a line that calls this very command."""
    assert isinstance(command, Command | Group)
    first = (command.help or "").split("\n\n")[0]
    assert re.match(r"[A-Z]", first)
    assert first.rstrip().endswith(".")
    assert command.examples
    called = [other for other, same in COMMANDS if same is command]
    for example in command.examples:
        assert any(f"{example} ".startswith(f"{words} ") for words in called), example


@pytest.mark.parametrize("path, command", COMMANDS, ids=[path for path, _ in COMMANDS])
def test_option_says_what_it_is_for(path: str, command: click.Command) -> None:
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, f"{path} {option.opts[0]}"


@pytest.mark.parametrize("name", sorted(PAGES))
def test_page_is_current(name: str) -> None:
    written = (DOCS / name).read_text(encoding="utf-8")
    assert written == PAGES[name](), f'docs/{name} is not what the declarations say: "make docs" writes it anew'


@pytest.mark.parametrize("page", [README, *(make() for make in PAGES.values())], ids=["README", *PAGES])
def test_page_names_every_command_and_setting(page: str) -> None:
    plain = re.sub(r"\\f[BR]", "", page.replace("\\-", "-"))
    for entry in of_commands():
        if not entry.is_group:
            assert re.search(rf"(?<!\w){re.escape(entry.path)}\b", plain), entry.path
    for setting in SETTINGS:
        assert re.search(rf"(?<![\w-]){setting.key}\b", plain), setting.key
    for option in of_program().options:
        assert option[0].split(" ")[0] in plain


def test_every_exit_code_is_explained() -> None:
    assert set(EXIT_CODES) == set(ExitCode)


@pytest.mark.skipif(shutil.which("groff") is None, reason="needs groff")
def test_man_page_is_sound() -> None:
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8", DOCS / "queuectl.1"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "queuectl - a job queue that is a folder" in done.stdout


@pytest.mark.skipif(shutil.which("man") is None, reason="needs man")
def test_man_shows_the_page(tmp_path: Path) -> None:
    done = subprocess.run(
        ["man", "--warnings", "-l", DOCS / "queuectl.1"],
        env=os.environ | {"MANWIDTH": "100", "MANPAGER": "cat", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    if "invalid option" in done.stderr or "unrecognized option" in done.stderr:
        pytest.skip("this man takes no file")
    assert (done.returncode, done.stderr) == (0, "")
    assert "worker start [OPTIONS]" in done.stdout


@pytest.mark.parametrize("text", TEXTS, ids=[file.name for file in TEXTS])
def test_links_lead_somewhere(text: Path) -> None:
    page = text.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", page):
        if "://" in target:
            continue
        file, _, place = target.partition("#")
        found = (text.parent / file) if file else text
        assert found.exists(), target
        if place:
            headings = re.findall(r"(?m)^#+ (.*)$", found.read_text(encoding="utf-8"))
            assert place in {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}, target


def test_recipes_that_are_named_exist() -> None:
    recipes = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8")))
    for text in TEXTS:
        named = set(re.findall(r"`make ([a-z-]+)", text.read_text(encoding="utf-8")))
        assert named <= recipes, text.name


def test_every_recipe_is_explained_to_contributors() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    recipes = re.findall(r"(?m)^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert [name for name in recipes if name != "help" and f"| `make {name}` |" not in page] == []


def test_changelog_has_the_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"(?m)\b{re.escape(__version__)}\b", changelog)


def test_project_file_and_starter_agree_on_python() -> None:
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    assert "NEEDED = ({}, {})".format(*stated.removeprefix(">=").split(".")) in (ROOT / "queuectl.py").read_text()


def test_readme_shows_every_picture() -> None:
    assert PICTURES
    for picture in PICTURES:
        assert f"](docs/pictures/{picture.name})" in README


@pytest.mark.parametrize("scene", SCENES, ids=[scene.name for scene in SCENES])
def test_picture_shows_what_its_scene_types(scene: Scene) -> None:
    image = ET.fromstring((DOCS / "pictures" / f"{scene.name}.svg").read_text(encoding="utf-8"))  # noqa: S314 - our own
    lines = iter(["".join(line.itertext()) for line in image.iter(f"{SVG}text")])
    for typed in scene.typed:
        assert f"queuectl> {typed}" in lines, typed


@pytest.mark.parametrize("picture", PICTURES, ids=[picture.name for picture in PICTURES])
def test_picture_is_sound(picture: Path) -> None:
    """It is XML with words in it, tells those who cannot see it what it shows, and loads nothing from elsewhere."""
    text = picture.read_text(encoding="utf-8")
    image = ET.fromstring(text)  # noqa: S314 - our own file
    assert image.tag == f"{SVG}svg"
    title = image.find(f"{SVG}title")
    assert title is not None
    assert title.text
    words = "\n".join("".join(line.itertext()) for line in image.iter(f"{SVG}text"))
    assert "queuectl> " in words
    assert "status" in words
    for forbidden in ("<script", "href", "@import", "url("):
        assert forbidden not in text
