"""The README's tree is the disk's, and its commands are the command line's."""

import re
import subprocess
from pathlib import Path

import pytest
import typer.main

from audioroto.cli.main import app

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [ROOT / "README.md", *ROOT.glob("*/README.md"), *ROOT.glob("egs/*/asr/README.md")]


def read_tree() -> dict[str, str]:
    """Path → comment, of the lines of the tree; folders are indented by two and end in a slash."""
    block = README.split("## The tree")[1].split("\n## ")[0]
    found: dict[str, str] = {}
    folders: list[str] = []
    for line in block.splitlines():
        match = re.match(r"    ( *)(\S+)  +(\S.*)", line)
        if match:
            depth = len(match[1]) // 2
            folders = folders[:depth]
            path = "".join(folders) + match[2]
            if match[2].endswith("/"):
                folders.append(match[2])
            found[path] = match[3]
    return found


def test_the_tree_is_the_disk():
    tracked = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    described = read_tree()
    modules = {
        path
        for path in tracked.stdout.splitlines()
        if re.match(r"audioroto/.*\.py$", path) and not path.endswith("__init__.py") and (ROOT / path).exists()
    }
    assert modules - described.keys() == set(), "these files are missing from the README's tree"
    gone = [path for path in described if not (ROOT / path).exists()]
    assert not gone, "the README's tree names these, the disk has them not"


def iter_commands() -> list[tuple[str, str]]:
    commands = []
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        found = re.finditer(r"(?:^    |`)(audioroto [^`\n#>|…]+)", text, re.MULTILINE)
        commands.extend((document.parent.name, match[1].strip()) for match in found)
    return commands


@pytest.mark.parametrize(("where", "command"), iter_commands())
def test_every_command_is_one_the_command_line_knows(where, command):
    group = typer.main.get_command(app)
    words = [word for word in command.split()[1:] if word not in ("--debug",)]
    node = group
    while words and hasattr(node, "commands") and not words[0].startswith("-"):
        name = words.pop(0).strip("*")
        assert name in node.commands, f"{command!r}: no verb {name!r}"
        node = node.commands[name]
    known = {name for parameter in node.params for name in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}
    for word in words:
        if re.match(r"-{1,2}[a-z]", word):
            assert word.partition("=")[0].strip("[]") in known, f"{command!r}: no option {word}"


def test_every_link_leads_somewhere():
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
            assert "://" in target or (document.parent / target).exists(), f"{document.name}: {target}"


def test_shell_scripts_of_the_readme_exist():
    for script in re.findall(r"bash ((?:egs|tests|recipes)/\S+\.sh)", README):
        assert (ROOT / script).exists()
