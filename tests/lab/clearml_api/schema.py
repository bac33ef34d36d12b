# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of request fields, with the texts that the real server's model library gives (clearml-api/queues.create.jsonl).

The order matters for the text of the first error: first every field that is present, by name, then the required ones.
"""

import copy
from types import SimpleNamespace

from .errors import fail


class _Wrong(Exception):
    """One field's value is wrong; args are the library's, joined in lower case."""


class _Field:
    expected = None
    types = ()

    def __init__(self, required=False, default=None, choices=None, minimum=None, maximum=None):
        self.required, self.default, self.choices, self.minimum, self.maximum = required, default, choices, minimum, maximum

    def convert(self, value):
        return value

    def check(self, value):
        if value is None:
            if self.required:
                raise _Wrong("field is required!")
            return None
        value = self.convert(value)
        if self.types and not isinstance(value, self.types):
            raise _Wrong(f'value is wrong, expected type "{self.expected}"', value)
        if self.choices is not None and value not in self.choices:
            raise _Wrong(f"value '{value}' is not a valid choice.")
        if self.maximum is not None and value > self.maximum:
            raise _Wrong(f"'{value}' is bigger than maximum ('{self.maximum}').")
        if self.minimum is not None and value < self.minimum:
            raise _Wrong(f"'{value}' is lower than minimum ('{self.minimum}').")
        return value


class Str(_Field):
    expected, types = "str", (str,)


class Int(_Field):
    """Anything that int() takes, text too (auth.login.jsonl, "expiration_sec as text")."""

    def convert(self, value):
        return int(value)


class Float(_Field):
    expected, types = "float, int", (float, int)


class Bool(_Field):
    """Any truthy value is true, `"no"` as well (queues.delete.jsonl)."""

    def __init__(self, default=None, required=False):
        super().__init__(required=required, default=default)

    def convert(self, value):
        return bool(value)


class Any(_Field):
    pass


class Dict(_Field):
    """A mapping; `model` (fields) for its values, where an item must be a mapping as well."""

    expected, types = "dict", (dict,)

    def __init__(self, model=None, model_name="", **options):
        super().__init__(**options)
        self.model, self.model_name = model, model_name

    def check(self, value):
        """Null is an empty mapping where a mapping is not required."""
        value = super().check({} if value is None and not self.required else value)
        if value and self.model:
            return {key: _embedded(self.model, self.model_name, item) for key, item in value.items()}
        return value


class List(_Field):
    """A list of items of one Python type, or of models (fields)."""

    expected, types = "list", (list,)

    def __init__(self, item=str, model=None, model_name="", shortest=0, **options):
        super().__init__(**options)
        self.item, self.model, self.model_name, self.shortest = item, model, model_name, shortest

    def check(self, value):
        """Null and everything else that is empty is an empty list."""
        value = super().check(value or [])
        if len(value) < self.shortest:
            raise _Wrong(f"value '{value}' length is lower than allowed minimum '{self.shortest}'.")
        if self.model:
            return [_embedded(self.model, self.model_name, item) for item in value]
        kinds = self.item if isinstance(self.item, tuple) else (self.item,)
        for item in value:
            if not isinstance(item, kinds):
                names = ", ".join(kind.__name__ for kind in kinds)
                raise _Wrong(f'all items must be instances of "{names}", and not "{type(item).__name__}".')
        return value


class Embedded(_Field):
    """A mapping with fields of its own."""

    def __init__(self, model, model_name="", **options):
        super().__init__(**options)
        self.model, self.model_name = model, model_name

    def convert(self, value):
        return _embedded(self.model, self.model_name, value)


def _embedded(model, name, item):
    if not isinstance(item, dict):
        raise TypeError(f"{name}() argument after ** must be a mapping, not {type(item).__name__}")
    return {key: value for key, value in _values(model, item).items() if value is not None}


def _lowered(error):
    if len(error.args) == 1:
        return error.args[0].lower()
    return repr(error.args).lower()


def _values(fields, data):
    values = {}
    for name in sorted(fields):
        if name not in data:
            continue
        try:
            values[name] = fields[name].check(data[name])
        except _Wrong as error:
            raise _Wrong(f"error for field '{name}': {_lowered(error)}.") from None
    for name in sorted(fields):
        if name not in values:
            if fields[name].required:
                raise _Wrong(f"error for field '{name}'. field is required!")
            values[name] = copy.copy(fields[name].default)
    return values


def read(fields, data):
    """The fields of a request as attributes; absent ones have their default. Unknown fields are ignored.

    Raises ApiError 400/12 with the real server's text.
    """
    try:
        return SimpleNamespace(**_values(fields, data))
    except _Wrong as error:
        raise fail("validation", _lowered(error)) from None
    except (TypeError, ValueError) as error:
        raise fail("validation", str(error)) from None
