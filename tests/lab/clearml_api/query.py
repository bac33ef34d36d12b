# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The common part of all get_all calls: filters, order, pages, scrolling, projection, joins.

Sources: clearml-api/queues.get_all.jsonl, projects.get_all.jsonl, tasks.get_all.jsonl, users.get_all.jsonl.
"""

import copy
import re

from .calls import new_id, now
from .errors import fail

MAX_PAGE = 500


class Kind:
    """What can be asked of one collection.

    `fields` are the names that projection and order know (each also as prefix of a nested name), `hidden` those that
    get_all leaves out unless asked for, `lists` may be matched with operators, `plain` match exactly or any of a list,
    `dates` compare, `joins` name the collection that a reference points to.
    """

    def __init__(self, collection, fields, hidden=(), lists=(), plain=(), dates=(), joins=None):
        self.collection = collection
        self.fields = frozenset(fields)
        self.hidden = frozenset(hidden)
        self.lists = ("tags", "system_tags", "id", *lists)
        self.plain, self.dates, self.joins = plain, dates, joins or {}


def dig(document, path):
    """The value at a dotted path, or None."""
    for step in path.split("."):
        if not isinstance(document, dict):
            return None
        document = document.get(step)
    return document


def _compiled(pattern, flags=0):
    try:
        return re.compile(pattern, flags)
    except re.error as error:
        raise fail("regex", err=error, extra_info=None) from None


def _values(value):
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _list_filter(name, wanted):
    """A predicate for values such as ["a", "-b"], ["__$all", "a", "b"], ["__$not", "c"], [None]."""
    groups, all_of, first_operator, empty = [], False, None, False
    negate, legacy = False, True
    for item in wanted:
        if item is None:
            empty, negate = True, False
        elif not isinstance(item, str):
            raise fail("field_value", "invalid value type, string expected", field=name, value=item)
        elif item == "__$not":
            negate = True
        elif item == "__$nop":
            all_of, negate, legacy = False, False, True
        elif item in ("__$all", "__$and", "__$any", "__$or"):
            all_of, legacy = item in ("__$all", "__$and"), False
            first_operator = item if first_operator is None else first_operator
        elif item.startswith("__$"):
            raise fail("field_value", "Unsupported operator", field=name, operator=item)
        else:
            exclude = negate
            if legacy and not negate and item.startswith("-"):
                item, exclude = item[1:], True
            groups.append(("without" if exclude else "all" if all_of else "any", item))
            negate = False
    if negate:
        raise fail("field_value", "Value is expected after", operator="__$not")
    parts = {mode: {item for kind, item in groups if kind == mode} for mode in ("any", "all", "without")}
    either = first_operator in ("__$any", "__$or")

    def fits(document):
        have = set(_values(dig(document, name)))
        checks = []
        if parts["any"]:
            checks.append(bool(have & parts["any"]))
        if parts["all"]:
            checks.append(parts["all"] <= have)
        if parts["without"]:
            checks.append(not have & parts["without"])
        result = (any(checks) if either else all(checks)) if checks else not empty
        return result or (empty and not have)

    return fits


def _filters_part(name, wanted):
    """The newer form of a list filter: {any: {include, exclude}, all: {include, exclude}, op: and|or}."""
    if not isinstance(wanted, dict):
        raise fail("validation", "invalid filter for field, dictionary expected", field=name, value=wanted)
    some, every = wanted.get("any") or {}, wanted.get("all") or {}

    def fits(document):
        have, checks = set(_values(dig(document, name))), []
        if some:
            include, exclude = set(some.get("include") or ()), set(some.get("exclude") or ())
            checks.append(bool((include and have & include) or (exclude and not exclude <= have)))
        if every:
            include, exclude = set(every.get("include") or ()), set(every.get("exclude") or ())
            checks.append(include <= have and not have & exclude)
        if not checks:
            return True
        return any(checks) if wanted.get("op") == "or" else all(checks)

    return fits


def _moment(text):
    return str(text).replace("Z", "+00:00").replace(" ", "T")


def _date_filter(name, wanted):
    conditions = []
    for item in _values(wanted):
        match = re.match(r"^(>=|>|<=|<)?(.*)$", str(item))
        conditions.append((match[1] or "==", _moment(match[2])))
    compare = {
        ">=": lambda a, b: a >= b,
        ">": lambda a, b: a > b,
        "<=": lambda a, b: a <= b,
        "<": lambda a, b: a < b,
        "==": lambda a, b: a == b,
    }

    def fits(document):
        value = dig(document, name)
        return value is not None and all(compare[sign](value, other) for sign, other in conditions)

    return fits


def _many_fields(operator, value):
    if not isinstance(value, dict) or not value.get("fields") or value.get("pattern") is None:
        raise fail("field_value", "failed parsing query field", error="incorrect field format", field=operator)
    expression, join = _compiled(value["pattern"], re.IGNORECASE), any if operator in ("_any_", "_or_") else all

    def fits(document):
        return join(any(expression.search(str(item)) for item in _values(dig(document, name))) for name in value["fields"])

    return fits


def _predicates(kind, asked):
    result = []
    if asked.get("name"):
        expression = _compiled(asked["name"])
        result.append(lambda document: bool(expression.search(document.get("name") or "")))
    for name, wanted in (asked.get("filters") or {}).items():
        if name in kind.lists:
            result.append(_filters_part(name, wanted))
    for name in kind.lists:
        if asked.get(name) is not None:
            result.append(_list_filter(name, _values(asked[name])))
    for name in kind.plain:
        if asked.get(name) is not None:
            wanted = _values(asked[name])
            result.append(lambda document, name=name, wanted=wanted: dig(document, name) in wanted)
    for name in kind.dates:
        if asked.get(name) is not None:
            result.append(_date_filter(name, asked[name]))
    for operator in ("_any_", "_or_", "_all_", "_and_"):
        if asked.get(operator) is not None:
            result.append(_many_fields(operator, asked[operator]))
    return result


def _known(kind, name):
    if name.partition(".")[0] not in kind.fields:
        shown = name.partition(".")[0]
        raise fail("lookup", "probably an invalid field name or unsupported nested field", err=f'Cannot resolve field "{shown}"')


def _sorted(kind, documents, order):
    for name in reversed(_values(order)):
        plain = name.lstrip("-+@")
        _known(kind, plain)
        documents = sorted(
            documents,
            key=lambda document, plain=plain: _rank(dig(document, plain)),
            reverse=name.startswith("-"),
        )
    return documents


def _rank(value):
    """Missing before numbers before text, as the database orders."""
    if value is None:
        return (0, 0, "")
    if isinstance(value, bool):
        return (3, int(value), "")
    if isinstance(value, (int, float)):
        return (1, value, "")
    return (2, 0, value if isinstance(value, str) else str(value))


def _window(store, asked, documents, result):
    """The page or the next part of a scroll."""
    if "scroll_id" in asked:
        size = asked.get("size")
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise fail("validation", "Integer size parameter greater than 1 should be provided when working with scroll")
        moment = now().timestamp()
        for old in store.all("scrolls"):
            if old["until"] < moment:
                store.delete("scrolls", old["id"])
        state = store.get("scrolls", asked["scroll_id"]) if asked["scroll_id"] else None
        state = state or {"id": new_id(), "position": 0}
        if asked.get("refresh_scroll"):
            size, state["position"] = max(state["position"], size), 0
        part = documents[state["position"] : state["position"] + size]
        state["position"] += len(part)
        state["until"] = moment + 600
        store.put("scrolls", state)
        result["scroll_id"] = state["id"]
        return part
    if asked.get("start") is not None:
        return documents[asked["start"] : asked["start"] + (asked.get("size") or MAX_PAGE)]
    page, size = asked.get("page", 0), asked.get("page_size", MAX_PAGE)
    if page is not None and page < 0:
        raise fail("validation", "page must be >=0", field="page")
    if size is not None and size < 1:
        raise fail("validation", "page_size must be >0", field="page_size")
    if size is None:
        if page is not None:
            raise fail("missing_fields", "page_size is required when page is requested", field="page_size")
        return documents
    size = min(size, MAX_PAGE)
    return documents[(page or 0) * size :][:size]


def project(document, names):
    """A copy with the named, dotted fields only, through lists as well; absent ones stay absent."""
    tree = {}
    for name in names:
        *path, last = name.split(".")
        branch = tree
        for step in path:
            branch = branch.setdefault(step, {})
            if branch is None:
                break
        else:
            branch[last] = None
    return _projected(document, tree)


def _projected(value, tree):
    if isinstance(value, list):
        return [_projected(item, tree) for item in value]
    if not isinstance(value, dict):
        return copy.deepcopy(value)
    result = {}
    for name, branch in tree.items():
        if value.get(name) is not None:
            result[name] = copy.deepcopy(value[name]) if branch is None else _projected(value[name], branch)
    return result


def without(document, names):
    """A copy without the named fields and without those that are None."""
    return copy.deepcopy({key: value for key, value in document.items() if key not in names and value is not None})


def select(call, kind, documents=None, asked=None):
    """The documents that `call.data` asks for, with the rest of the answer (scroll_id)."""
    asked = call.data if asked is None else asked
    documents = call.store.all(kind.collection) if documents is None else documents
    for fits in _predicates(kind, asked):
        documents = [document for document in documents if fits(document)]
    documents = _sorted(kind, documents, asked.get("order_by"))
    rest = {}
    return _window(call.store, asked, documents, rest), rest


def get_all(call, kind, documents=None, asked=None):
    """As get_all answers: references are ids."""
    asked = call.data if asked is None else asked
    wanted = _values(asked.get("projection") or asked.get("only_fields"))
    for name in wanted:
        _known(kind, name.lstrip("-"))
    documents, rest = select(call, kind, documents, asked)
    include = [name for name in wanted if not name.startswith("-")]
    exclude = kind.hidden | {name[1:] for name in wanted if name.startswith("-")}
    if include:
        return [project(document, include) for document in documents], rest
    return [without(document, exclude) for document in documents], rest


def join(call, kind, document, wanted=()):
    """A shown document with references as {id, and the fields that `wanted` names}."""
    for name, collection in kind.joins.items():
        holder, _, last = name.rpartition(".")
        place = dig(document, holder) if holder else document
        key = place.get(last) if isinstance(place, dict) else None
        if not isinstance(key, str):
            continue
        fields = [item[len(name) + 1 :] for item in wanted if item.startswith(name + ".")]
        place[last] = {"id": key, **project(call.store.get(collection, key) or {}, fields)}
    return document


def get_all_ex(call, kind, documents=None, asked=None):
    """As get_all_ex answers: references are objects, `only_fields` may name their fields ("project.name")."""
    asked = dict(call.data if asked is None else asked)
    wanted = _values(asked.get("projection") or asked.get("only_fields"))
    local = []
    for name in wanted:
        reference = next((item for item in kind.joins if name.startswith(item + ".")), None)
        local.append(reference or name)
    if local and "id" not in local:
        local.append("id")
    asked["only_fields"] = local
    asked.pop("projection", None)
    documents, rest = get_all(call, kind, documents, asked)
    return [join(call, kind, document, wanted) for document in documents], rest
