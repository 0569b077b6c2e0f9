"""Blocks of code in Markdown pages, and what their marks ask of the tests.

A comment above a block marks it: `<!-- runs -->`, it is run in the page's folder, after the blocks before it; `<!-- file NAME -->`, it is written
there, and a module with hooks is a plugin for what runs after it; `<!-- prints -->`, its commands, on results that the repository has, print what
stands below each; `<!-- shows -->`, what they print has every number of the paragraph above. All other blocks are checked, and not run.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(
    r"(?:^ *<!-- (?P<mark>runs|prints|shows|file (?P<name>\S+)) -->\n+)?^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=indent)```$",
    re.M | re.S,
)
JOINS = {"|", "&&", ";", "||", "&"}
SHELL = ("bash", "console", "sh")


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    text: str
    mark: str | None
    file: str | None
    above: str

    def __str__(self):
        return f"{self.page.name}:{self.line}"

    @property
    def runs(self):
        return self.mark == "runs"

    @property
    def printed(self):
        """Every command after a prompt, and the lines below it."""
        first, *others = ("\n" + self.text).split("\n$ ")
        assert not first.strip(), f"{self}: begins without a prompt"
        return [(lines[0], lines[1:]) for lines in (other.rstrip("\n").split("\n") for other in others)]

    @property
    def commands(self):
        """The lines of a shell that it has; in `console` those after a prompt, as the others are what was printed."""
        lines = self.text.replace("\\\n", " ").splitlines()
        prompted = self.language == "console" and any(line.startswith("$ ") for line in lines)
        return [line.removeprefix("$ ") for line in lines if line.strip() and not line.startswith("#") and (line.startswith("$ ") or not prompted)]


def pages(root):
    """Every page of the documentation."""
    return [root / "README.md", root / "CONTRIBUTING.md", *sorted((root / "docs").rglob("*.md"))]


def blocks(page):
    """The blocks of a page, in their order."""
    text = page.read_text()
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("language")) + 1
        inner = re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE)
        above = text[: found.start()].rstrip().rpartition("\n\n")[2]
        yield Block(page, line, found["language"], inner, found["mark"], found["name"], above)


def words_of(line):
    """The simple commands of a line of a shell, as words, without redirections and settings of the environment."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    found = [[]]
    words = iter(lexer)
    for word in words:
        if word in JOINS:
            found.append([])
        elif word.strip("<>&") == "":
            next(words, None)
        elif found[-1] or not re.fullmatch(r"\w+=\S*", word):
            found[-1].append(word)
    return [command for command in found if command]
