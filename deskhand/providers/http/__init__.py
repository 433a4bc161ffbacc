"""HTTP as every hosted provider speaks it: deadlines, bounds, one table of errors, and no secret in any message."""

from deskhand.providers.http.client import HttpClient, OwnClient, Reply
from deskhand.providers.http.failures import Answer, Failure, FailureRow, failure_of
from deskhand.providers.http.operation import Operation
from deskhand.providers.http.stream import Stream

__all__ = ["Answer", "Failure", "FailureRow", "HttpClient", "Operation", "OwnClient", "Reply", "Stream", "failure_of"]
