# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The error answers of the API: (result_code, result_subcode, text), as the recordings show them."""

# name: (result_code, result_subcode, first words of result_msg)
_KINDS = {
    "invalid_headers": (400, 5, "Invalid headers"),
    "impersonation": (400, 6, "Impersonation error"),
    "invalid_id": (400, 10, "Invalid object id"),
    "missing_fields": (400, 11, "Missing required fields"),
    "validation": (400, 12, "Validation error"),
    "lookup": (400, 14, "Lookup error"),
    "field_value": (400, 16, "Invalid value for fields"),
    "empty_batch": (400, 17, "Batch request contains no items"),
    "regex": (400, 21, "Malformed regular expression"),
    "access_key": (400, 75, "Access key not found"),
    "task_id": (400, 101, "Invalid task id"),
    "task_status": (400, 110, "Invalid task status"),
    "task_cannot_be_deleted": (400, 123, "Task cannot be deleted"),
    "model_id": (400, 201, "Invalid model id"),
    "model_ready": (400, 203, "Model is ready"),
    "user": (400, 300, "Invalid user"),
    "user_id": (400, 301, "Invalid user id"),
    "user_id_exists": (400, 302, "User id already exists"),
    "project_id": (400, 401, "Invalid project id"),
    "project_has_tasks": (400, 402, "Project has associated tasks"),
    "project_has_models": (400, 405, "Project has associated models"),
    "project_name": (400, 407, "Invalid project name"),
    "project_location": (400, 408, "Cannot update project location. Use projects.move instead"),
    "project_depth": (400, 409, "Project path exceed the maximum allowed depth"),
    "queue_id": (400, 701, "Invalid queue id"),
    "queue_not_empty": (400, 702, "Queue is not empty"),
    "not_queued": (400, 703, "Invalid queue id or task not in queue"),
    "already_queued": (400, 706, "Failed adding task to queue since task is already queued"),
    "no_default_queue": (400, 707, "No queue is tagged as the default queue for this company"),
    "many_default_queues": (400, 708, "More than one queue is tagged as the default queue for this company"),
    "data": (400, 800, "Data validation error"),
    "unique": (400, 801, "Value combination already exists (unique field already contains this value)"),
    "project_exists": (400, 801, "Project with the same name already exists"),
    "worker_registration": (400, 1002, "Worker registration failed"),
    "worker_not_registered": (400, 1004, "Worker is not registered"),
    "auth_type": (401, 10, "Unauthorized (bad authentication header type)"),
    "no_credentials": (401, 20, "Unauthorized (missing credentials)"),
    "bad_credentials": (401, 21, "Unauthorized (malformed credentials)"),
    "invalid_credentials": (401, 22, "Unauthorized (invalid credentials)"),
    "token": (401, 30, "Invalid token"),
    "role": (403, 20, "Forbidden (not allowed for role)"),
}


class ApiError(Exception):
    """An error answer; `data` becomes `error_data` of the envelope."""

    def __init__(self, code, subcode, msg, data=None):
        super().__init__(msg)
        self.code, self.subcode, self.msg, self.data = code, subcode, msg, data or {}


def _text(value):
    if isinstance(value, (list, tuple, set, frozenset)):
        return "(" + ", ".join(str(item) for item in value) + ")"
    if isinstance(value, dict):
        return "(" + ", ".join(str(key) for key in value) + ")"
    return str(value)


def fail(kind, extra=None, **details):
    """The error `kind`, with `(extra)` and `: key=value, ...` behind its first words."""
    code, subcode, msg = _KINDS[kind]
    if extra:
        msg += f" ({extra})"
    if details:
        msg += ": " + ", ".join(f"{key}={_text(value)}" for key, value in details.items())
    return ApiError(code, subcode, msg, {key: value if isinstance(value, (str, int)) else _text(value) for key, value in details.items()})
