"""How the words of the command line are read: recordings anywhere, and one line for a mistake."""

import argparse
import os
import re
from collections.abc import Callable, Sequence
from typing import NoReturn

from voxrun import habits
from voxrun.messages import sentence

from .codes import BAD

STDIN = STDOUT = "-"
END_OF_OPTIONS = "--"
ALIKE = 0.7
"""How much of a mistyped option must be that of the one that is suggested: 0.6 makes --port of --format."""
UNKNOWN_WIDTH = 80
"""Columns of what is not a terminal."""
RECORDINGS = "audio"
"""The attribute with all recordings. An option that stores there is another way to name one."""


class Parser(argparse.ArgumentParser):
    """Takes recordings before, between and behind the options, in the order in which they are typed.

    argparse alone would take them in one place only, or as the optional value of an option before them.
    """

    advice: Callable[[str], str | None] = staticmethod(habits.advice)
    """What to write instead of another program's option; None if it is unknown."""

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """The options and the recordings; leaves the program, with code 2, if the words make no sense."""
        options, recordings = list[str](), list[str]()
        rest = list(reversed(words))
        while rest:
            word = rest.pop()
            if word == END_OF_OPTIONS:
                recordings += reversed(rest)
                break
            if word == STDIN or (not word.startswith("-") and not _is_dashed(word)):
                recordings.append(word)
                continue
            name, joined, value = word.partition("=")
            action = self._action(name)
            if joined and action.nargs == 0:
                self.error(f"{name} takes no value")
            if not joined and self._takes_value(action, name, rest):
                joined, value = "=", rest.pop()
            if joined and not value and action.dest != RECORDINGS:
                self.error(_needs_a_value(action, name))
            if action.dest == RECORDINGS:
                recordings.append(value)
            else:
                options.append(f"{name}{joined}{value}")
        return self.parse_args([*options, END_OF_OPTIONS, *recordings] if recordings else options)

    def error(self, message: str) -> NoReturn:
        """One line instead of the usage."""
        self.exit(BAD, f"{self.prog}: {sentence(message)}\n")

    def format_help(self) -> str:
        """The help; an optional value is shown as `read` wants it, behind a `=`."""
        return re.sub(r"(--[\w-]+) \[(\w+)\]", r"\1[=\2]", super().format_help())

    def _action(self, name: str) -> argparse.Action:
        if name in self._option_string_actions:
            return self._option_string_actions[name]
        habit = self.advice(name)
        self.error(f"{name}: {habit}" if habit else f"{name}: no such option; {self._nearest(name)}")

    def _nearest(self, name: str) -> str:
        if os.path.lexists(name):
            return f"a recording that begins with a dash goes behind --: {self.prog} -- {name}"
        from difflib import get_close_matches  # only a mistake needs it

        options = sorted(name[2:] for name in self._option_string_actions if name.startswith("--"))
        plain = habits.plain(name)
        begun = [option for option in options if len(plain) > 1 and option.startswith(plain)]
        near = begun or get_close_matches(plain, options, n=1, cutoff=ALIKE)
        return (
            f"did you mean {' or '.join(f'--{option}' for option in near)}?"
            if near
            else f"{self.prog} --help lists all"
        )

    def _takes_value(self, action: argparse.Action, name: str, rest: list[str]) -> bool:
        """Whether the next word is the value of an option that has none behind a `=`."""
        following = rest[-1] if rest else None
        has_value = following is not None and not self._is_option(following)
        if action.nargs == argparse.OPTIONAL and has_value:
            self.error(
                f"{name} {following}: write {name}={following} if that is its {action.metavar};"
                f" a recording goes before {name}, or behind another option"
            )
        if action.nargs is None and not has_value:
            self.error(_needs_a_value(action, name))
        return action.nargs is None

    def _is_option(self, word: str) -> bool:
        """Whether a word is an option, and not a value that begins with a dash."""
        name = word.partition("=")[0]
        known = name in self._option_string_actions or self.advice(name) is not None
        return word == END_OF_OPTIONS or (word.startswith("-") and known)


class Help(argparse.HelpFormatter):
    """Keeps the lines of description and epilog; what is too long for the terminal is continued below."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        from textwrap import wrap  # only the help needs it

        lines = [(line, " " * 12 if line.startswith(" ") else "") for line in text.splitlines()]
        return "\n".join("\n".join(wrap(line, width, subsequent_indent=deeper)) for line, deeper in lines)


def _columns() -> int:
    """The width of the terminal, as `shutil.get_terminal_size` finds it; argparse would import that."""
    asked = os.environ.get("COLUMNS", "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    try:
        return os.get_terminal_size(1).columns or UNKNOWN_WIDTH
    except OSError:
        return UNKNOWN_WIDTH


def _needs_a_value(action: argparse.Action, name: str) -> str:
    value = "|".join(action.choices or ()) or action.metavar or action.dest.upper()
    return f"{name} needs a value: {name}{'=' if action.nargs else ' '}{value}"


def _is_dashed(word: str) -> bool:
    """Whether a word begins with a dash that a word processor has made of `--`, and is no file."""
    return word.startswith(tuple(habits.LONG_DASHES)) and not os.path.lexists(word)
