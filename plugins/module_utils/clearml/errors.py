# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong between a module and a ClearML API server, one class for each thing that a caller treats differently.

The pairs (result_code, result_subcode) are those of ClearML's apiserver 2.3.0 (`apiserver/apierrors/errors.conf`), and
were seen in recordings of that server.
"""

from __future__ import annotations


class ClearMLError(Exception):
    """Base of all errors of this package; its text is one line for a person and holds no secret."""

    def details(self):
        """Fields that a module adds to its failure, as a dict."""
        return {}


class InvalidInput(ClearMLError):
    """A value that must not reach the server."""


class Unsupported(ClearMLError):
    """The server is too old for what was asked."""


class Unreachable(ClearMLError):
    """No answer: name, route, refused connection, TLS, or too many temporary refusals."""


class OutcomeUnknown(Unreachable):
    """A request was sent and no answer came back: whether the server acted on it is not known."""


class BadAnswer(ClearMLError):
    """Something answered, but not as a ClearML API server does."""


class QueueInUse(ClearMLError):
    """A queue that is not deleted without being forced, because tasks wait in it or workers serve it.

    :param name: of the queue
    :param tasks: list of dicts with id and name
    :param workers: list of ids
    """

    def __init__(self, name, tasks, workers):
        self.name = name
        self.tasks = tasks
        self.workers = workers
        reasons = []
        if tasks:
            listed = ", ".join(task["name"] or task["id"] for task in tasks[:3]) + (", ..." if len(tasks) > 3 else "")
            reasons.append("holds %d waiting task%s (%s)" % (len(tasks), "" if len(tasks) == 1 else "s", listed))
        if workers:
            listed = ", ".join(workers[:3]) + (", ..." if len(workers) > 3 else "")
            reasons.append("is served by %d worker%s (%s)" % (len(workers), "" if len(workers) == 1 else "s", listed))
        super().__init__("queue %r %s: wait until nobody uses it, or set force=true" % (name, " and ".join(reasons)))

    def details(self):
        return {"queue_name": self.name, "tasks": self.tasks, "workers": self.workers}


class ApiError(ClearMLError):
    """The server's own refusal.

    :ivar code: result_code (int), equal to the HTTP status
    :ivar subcode: result_subcode (int)
    :ivar endpoint: service and action, such as ``queues.create``
    """

    def __init__(self, message, code=0, subcode=0, endpoint=""):
        super().__init__(message)
        self.code = code
        self.subcode = subcode
        self.endpoint = endpoint

    def details(self):
        return {"result_code": self.code, "result_subcode": self.subcode, "endpoint": self.endpoint}


class AuthenticationFailed(ApiError):
    """401: the pair or the token is not accepted."""


class PermissionDenied(ApiError):
    """403, or an impersonation that the role of the caller does not allow."""


class EndpointMissing(ApiError):
    """404: this server has no such call."""


class AlreadyExists(ApiError):
    """400/801: the unique field has this value already."""


class QueueMissing(ApiError):
    """400/701: no queue with this id."""


class QueueNotEmpty(ApiError):
    """400/702: the queue holds tasks and force was not given."""


class ProjectMissing(ApiError):
    """400/401: no project with this id."""


class TaskMissing(ApiError):
    """400/101: no task with this id."""


class CredentialMissing(ApiError):
    """400/300: this user has no credential with that key."""


class ProtectedIdentity(ApiError):
    """400/301: identities of the server's own configuration have no credentials that the API could change."""


BY_CODE = {
    (400, 6): PermissionDenied,
    (400, 101): TaskMissing,
    (400, 300): CredentialMissing,
    (400, 301): ProtectedIdentity,
    (400, 401): ProjectMissing,
    (400, 701): QueueMissing,
    (400, 702): QueueNotEmpty,
    (400, 801): AlreadyExists,
    (401, None): AuthenticationFailed,
    (403, None): PermissionDenied,
    (404, None): EndpointMissing,
}

# What a person does about it; by class, because the server's own words do not say it.
REMEDY = {
    AuthenticationFailed: "check access_key and secret_key",
    PermissionDenied: "use the pair of a user with the role admin or system",
    EndpointMissing: "check that api_url is the API server's address and that the server is not older than this call",
    ProtectedIdentity: "sign in as an ordinary user, or name one with the option user",
}

REMEDY_OF_CALL = {
    (PermissionDenied, "auth.create_user"): "use a pair with the role system",
}


def api_error(endpoint, code, subcode, message):
    """The typed error for one answer.

    :param endpoint: service and action of the call (str)
    :param code: result_code (int)
    :param subcode: result_subcode (int)
    :param message: result_msg (str)
    :returns: an instance of ApiError or of a class below it
    """
    kind = BY_CODE.get((code, subcode)) or BY_CODE.get((code, None)) or ApiError
    text = "ClearML refused %s: %s (%d/%d)" % (endpoint, message or "no reason given", code, subcode)
    remedy = REMEDY_OF_CALL.get((kind, endpoint)) or REMEDY.get(kind)
    if remedy:
        text = "%s; %s" % (text, remedy)
    return kind(" ".join(text.split()), code=code, subcode=subcode, endpoint=endpoint)
