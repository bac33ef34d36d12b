# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of HOCON that the chart, the roles and people write into apiserver.conf; anything else is an error.

Read: `key: value`, `key = value`, `key { ... }`, dotted and quoted keys, objects (the outermost braces may be missing),
lists, strings with and without quotes, triple quotes, numbers, booleans, null, commas or line ends between entries,
`#` and `//` comments, and repeated keys, whose objects are merged. Not read: `${substitutions}`, `include`, `+=`, units,
and the joining of values.
"""

import json
import re

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r]+) | (?P<comment>(?:\#|//)[^\n]*) | (?P<end>[\n,]) | (?P<long>\"\"\"(?:.|\n)*?\"\"\")
    | (?P<text>"(?:[^"\\\n]|\\.)*") | (?P<mark>[{}\[\]:=]) | (?P<bare>[^\s{}\[\]:=,"\#][^\n{}\[\]:=,"\#]*)""",
    re.VERBOSE,
)


class HoconError(ValueError):
    """Something that this reader does not read; the text names the line."""


def _tokens(text):
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        line = text.count("\n", 0, position) + 1
        if not match:
            raise HoconError(f"line {line}: cannot read {text[position : position + 20]!r}")
        kind, value = match.lastgroup, match[0]
        position = match.end()
        if kind == "bare":
            value = re.split(r"\s*//", value)[0].rstrip() if "//" in value and "://" not in value else value.rstrip()
            if value.startswith("include ") or value.endswith(("$", "+")):
                raise HoconError(f"line {line}: substitutions, include and += are not read")
        if kind not in ("space", "comment"):
            yield kind, value, line
    yield "end", "\n", text.count("\n") + 1
    yield "stop", "", text.count("\n") + 1


class _Reader:
    def __init__(self, text):
        self.items = list(_tokens(text))
        self.at = 0

    def peek(self):
        return self.items[self.at]

    def next(self):
        self.at += 1
        return self.items[self.at - 1]

    def skip_ends(self):
        while self.peek()[0] == "end":
            self.next()

    def object(self, closing):
        result = {}
        while True:
            self.skip_ends()
            kind, value, line = self.next()
            if (kind, value) == closing:
                return result
            if kind not in ("text", "bare"):
                raise HoconError(f"line {line}: a key was expected, not {value!r}")
            path = [json.loads(value)] if kind == "text" else value.split(".")
            kind, mark, line = self.peek()
            if mark in (":", "="):
                self.next()
            elif mark != "{":
                raise HoconError(f"line {line}: ':', '=' or '{{' was expected after {value!r}")
            target = result
            for step in path[:-1]:
                if not isinstance(target.get(step), dict):
                    target[step] = {}
                target = target[step]
            merge_into(target, {path[-1]: self.value()})

    def value(self):
        self.skip_ends()
        kind, value, line = self.next()
        if value == "{" and kind == "mark":
            return self.object(("mark", "}"))
        if value == "[" and kind == "mark":
            result = []
            while True:
                self.skip_ends()
                if self.peek()[:2] == ("mark", "]"):
                    self.next()
                    return result
                result.append(self.value())
        if kind == "long":
            return value[3:-3]
        if kind == "text":
            return json.loads(value)
        if kind == "bare":
            return scalar(value)
        raise HoconError(f"line {line}: a value was expected, not {value!r}")


def scalar(text):
    """A value without quotes: true, false, null, a number, or text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def merge_into(target, more):
    """Objects are merged, everything else is replaced."""
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            merge_into(target[key], value)
        else:
            target[key] = value


def parse(text):
    """The object that a text describes. Raises HoconError."""
    reader = _Reader(text)
    reader.skip_ends()
    if reader.peek()[:2] == ("mark", "{"):
        reader.next()
        result = reader.object(("mark", "}"))
        reader.skip_ends()
        if reader.peek()[0] != "stop":
            raise HoconError(f"line {reader.peek()[2]}: text behind the last brace")
        return result
    return reader.object(("stop", ""))
