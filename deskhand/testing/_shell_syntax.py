"""The grammar of a fake computer's shell: a small part of POSIX, parsed by hand; what it has not is refused by name."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

_OPERATORS: Final = (
    "&&",
    "||",
    "2>&1",
    ">&2",
    "1>&2",
    "2>>",
    ">>",
    "2>",
    "<<",
    "|",
    ";",
    "\n",
    "(",
    ")",
    "<",
    ">",
    "&",
)
_UNSUPPORTED: Final = frozenset({"if", "for", "while", "until", "case", "function", "{", "}", "[["})
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[?]")
_ASSIGNMENT: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=")


class ShellSyntaxError(ValueError):
    """The command line is not one that the fake's shell understands."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a word: text as it stands, or a variable's name; unquoted variables are split at white space."""

    text: str
    is_variable: bool = False
    is_quoted: bool = False


Word: TypeAlias = tuple[Part, ...]
Direction: TypeAlias = Literal["<", ">", ">>", "2>", "2>>", "2>&1", ">&2"]

_DIRECTIONS: Final[dict[str, Direction]] = {
    "<": "<",
    ">": ">",
    ">>": ">>",
    "2>": "2>",
    "2>>": "2>>",
    "2>&1": "2>&1",
    ">&2": ">&2",
}


@dataclass(frozen=True, slots=True)
class Redirection:
    """Where a stream comes from or goes to."""

    direction: Direction
    target: Word = ()


@dataclass(frozen=True, slots=True)
class Simple:
    """A program with its arguments."""

    words: tuple[Word, ...] = ()
    assignments: tuple[tuple[str, Word], ...] = ()
    redirections: tuple[Redirection, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """A list in parentheses: what it changes of directory and variables stays inside."""

    body: CommandList
    redirections: tuple[Redirection, ...] = ()


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands whose output is the next one's input."""

    commands: tuple[Simple | Group, ...]
    is_negated: bool = False


@dataclass(frozen=True, slots=True)
class CommandList:
    """Pipelines with what stands before each: ``;``, ``&&`` or ``||``."""

    steps: tuple[tuple[str, Pipeline], ...] = field(default=())


def parse(line: str) -> CommandList:
    """Parse a command line.

    Raises:
        ShellSyntaxError: If it is broken, or uses what this shell has not.
    """
    parser = _Parser(_Lexer(line).pieces())
    body = parser.sequence()
    if parser.peek() is not None:
        raise ShellSyntaxError(f"syntax error near {parser.upcoming}")
    return body


Piece: TypeAlias = "str | Word"


class _Lexer:
    """Cuts a line into operators and words."""

    def __init__(self, line: str) -> None:
        self._line = line
        self._at = 0

    def pieces(self) -> list[Piece]:
        """Return all pieces."""
        found: list[Piece] = []
        while self._at < len(self._line):
            if self._line[self._at] in " \t" or self._line.startswith("\\\n", self._at):
                self._at += 1 + (self._line[self._at] == "\\")
            elif self._line[self._at] == "#":
                end = self._line.find("\n", self._at)
                self._at = len(self._line) if end < 0 else end
            elif operator := next((known for known in _OPERATORS if self._line.startswith(known, self._at)), None):
                if operator in {"&", "<<"}:
                    raise ShellSyntaxError(f"the fake computer's shell has no {operator}")
                self._at += len(operator)
                found.append(">&2" if operator == "1>&2" else operator)
            else:
                found.append(self._word())
        return found

    def _word(self) -> Word:
        parts: list[Part] = []
        while self._at < len(self._line):
            character = self._line[self._at]
            if character in " \t" or any(self._line.startswith(known, self._at) for known in "|;&()<>\n"):
                break
            if character == "'":
                parts.append(Part(self._until("'"), is_quoted=True))
            elif character == '"':
                self._at += 1
                parts.extend(self._double_quoted())
            elif character == "\\":
                parts.append(Part(self._line[self._at + 1 : self._at + 2], is_quoted=True))
                self._at += 2
            else:
                parts.append(self._plain(is_quoted=False))
        return tuple(parts)

    def _until(self, quote: str) -> str:
        end = self._line.find(quote, self._at + 1)
        if end < 0:
            raise ShellSyntaxError(f"unexpected end while looking for a closing {quote}")
        text, self._at = self._line[self._at + 1 : end], end + 1
        return text

    def _double_quoted(self) -> list[Part]:
        parts: list[Part] = [Part("", is_quoted=True)]
        while self._at < len(self._line):
            character = self._line[self._at]
            if character == '"':
                self._at += 1
                return parts
            if character == "\\" and self._line[self._at + 1 : self._at + 2] in {'"', "\\", "$", "`", "\n"}:
                parts.append(Part(self._line[self._at + 1].replace("\n", ""), is_quoted=True))
                self._at += 2
            else:
                parts.append(self._plain(is_quoted=True))
        raise ShellSyntaxError('unexpected end while looking for a closing "')

    def _plain(self, *, is_quoted: bool) -> Part:
        """Take one character, or a variable."""
        character = self._line[self._at]
        if character == "`" or self._line.startswith("$(", self._at):
            raise ShellSyntaxError("the fake computer's shell has no command substitution")
        self._at += 1
        if character != "$":
            return Part(character, is_quoted=is_quoted)
        if self._line.startswith("{", self._at):
            end = self._line.find("}", self._at)
            name = self._line[self._at + 1 : end]
            if end < 0 or not _NAME.fullmatch(name):
                raise ShellSyntaxError("bad substitution: the fake computer's shell has ${NAME} alone")
            self._at = end + 1
            return Part(name, is_variable=True, is_quoted=is_quoted)
        if match := _NAME.match(self._line, self._at):
            self._at = match.end()
            return Part(match[0], is_variable=True, is_quoted=is_quoted)
        return Part("$", is_quoted=is_quoted)


class _Parser:
    """Builds the tree by recursive descent."""

    def __init__(self, pieces: list[Piece]) -> None:
        self._pieces = pieces
        self._at = 0

    def peek(self) -> Piece | None:
        """Return the next piece."""
        return self._pieces[self._at] if self._at < len(self._pieces) else None

    @property
    def upcoming(self) -> str:
        """Name the next piece in a message."""
        piece = self.peek()
        if piece is None:
            return "the end"
        return repr(piece if isinstance(piece, str) else "".join(part.text for part in piece))

    def _take(self) -> Piece | None:
        piece = self.peek()
        self._at += 1
        return piece

    def sequence(self) -> CommandList:
        """``pipeline ((; | && | ||) pipeline)*``."""
        steps: list[tuple[str, Pipeline]] = []
        before = ";"
        while True:
            while self.peek() == "\n" or (self.peek() == ";" and steps and before == ";"):
                self._at += 1
            if self.peek() is None or self.peek() == ")":
                if before != ";":
                    raise ShellSyntaxError(f"syntax error: nothing follows {before}")
                return CommandList(tuple(steps))
            steps.append((before, self._pipeline()))
            piece = self.peek()
            if piece is None or piece == ")":
                return CommandList(tuple(steps))
            if piece not in {";", "\n", "&&", "||"}:
                raise ShellSyntaxError(f"syntax error near {self.upcoming}")
            self._at += 1
            before = ";" if piece == "\n" else str(piece)

    def _pipeline(self) -> Pipeline:
        is_negated = self.peek() == (Part("!"),)
        self._at += is_negated
        commands = [self._command()]
        while self.peek() == "|":
            self._at += 1
            commands.append(self._command())
        return Pipeline(tuple(commands), is_negated)

    def _command(self) -> Simple | Group:
        if self.peek() != "(":
            return self._simple()
        self._at += 1
        body = self.sequence()
        if self._take() != ")" or not body.steps:
            raise ShellSyntaxError("syntax error: a ) is missing, or nothing stands before it")
        return Group(body, tuple(self._redirections()))

    def _simple(self) -> Simple:
        words: list[Word] = []
        assignments: list[tuple[str, Word]] = []
        redirections: list[Redirection] = []
        while True:
            redirections.extend(self._redirections())
            piece = self.peek()
            if not isinstance(piece, tuple):
                break
            self._at += 1
            assignment = _as_assignment(piece) if not words else None
            if assignment is None:
                words.append(piece)
            else:
                assignments.append(assignment)
        if not (words or assignments or redirections):
            raise ShellSyntaxError(f"syntax error near {self.upcoming}")
        if words and (keyword := "".join(part.text for part in words[0] if not part.is_quoted)) in _UNSUPPORTED:
            raise ShellSyntaxError(f"the fake computer's shell has no {keyword}")
        return Simple(tuple(words), tuple(assignments), tuple(redirections))

    def _redirections(self) -> list[Redirection]:
        found: list[Redirection] = []
        while True:
            piece = self.peek()
            direction = _DIRECTIONS.get(piece) if isinstance(piece, str) else None
            if direction is None:
                return found
            self._at += 1
            target = () if direction in {"2>&1", ">&2"} else self._take()
            if not isinstance(target, tuple):
                raise ShellSyntaxError(f"syntax error: nothing follows {piece}")
            found.append(Redirection(direction, target))


def _as_assignment(word: Word) -> tuple[str, Word] | None:
    """Split ``NAME=value``; the lexer makes one part of each plain character."""
    plain = ""
    for index, part in enumerate(word):
        if part.is_variable or part.is_quoted:
            return None
        plain += part.text
        if part.text == "=":
            match = _ASSIGNMENT.fullmatch(plain)
            return (match[1], word[index + 1 :]) if match else None
    return None
