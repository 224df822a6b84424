"""Questions to a client during a call: to the person behind it (elicitation), and for its roots; in both eras.

Up to 2025-11-25 a server asks in the middle of a call, by a request of its own. From 2026-07-28 on it answers the call
with what it wants to know, and the client repeats the call with the replies and with the state that it was given. So a
handler asks before it changes anything: it may run from the start again.
"""

import hashlib
import json
import logging
import secrets
from collections import OrderedDict
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, cast
from urllib.parse import urlsplit
from urllib.request import url2pathname

import anyio
import mcp_types as types
from mcp.shared import exceptions as sdk_errors
from mcp.shared import message as sdk_message
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from msgspec import Struct
from pydantic import ValidationError

from ostler.adapters.serving.known_roots import KnownRoots, known_roots
from ostler.model.json import JsonObject

if TYPE_CHECKING:
    from mcp.server import ServerRequestContext

logger = logging.getLogger(__name__)

PATIENCE: Final = 600.0
"""Seconds that a person has for a reply, in both eras."""

ROOTS_SECONDS: Final = 5.0
"""Seconds that a client has to name its roots, up to 2025-11-25."""

_ROOTS: Final = "roots"

MAX_REMEMBERED: Final = 10_000
"""Rounds of questions whose replies were used already; the oldest are forgotten first, long after their state is."""


class Outcome(Enum):
    """What became of a question."""

    ACCEPTED = "accepted"
    DECLINED = "declined"
    DISMISSED = "dismissed"
    """Closed without a choice, or not answered in time."""
    UNAVAILABLE = "unavailable"
    """The client cannot ask a person."""


class Question(Struct, frozen=True):
    """A form for a person.

    Attributes:
        key: names it among the questions of one call.
        message: what is asked, in words.
        properties: the form's fields, flat, as JSON Schema.
        required: those that must be filled in.
        basis: what of it a reply is to, if that is not the message as a whole.
    """

    key: str
    message: str
    properties: JsonObject
    required: tuple[str, ...] = ()
    basis: str = ""

    def form(self) -> "types.ElicitRequestFormParams":
        """Return it as the protocol has it."""
        schema: JsonObject = {"type": "object", "properties": self.properties}
        if self.required:
            schema["required"] = list(self.required)
        return types.ElicitRequestFormParams(message=self.message, requested_schema=schema)

    @property
    def digest(self) -> str:
        """What two equal questions share: a reply counts for the question as it was asked."""
        facts = [self.key, self.basis or self.message, self.properties, self.required]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


class Reply(Struct, frozen=True):
    """A person's reply; `content` holds the fields of an accepted one, unchecked."""

    outcome: Outcome
    content: JsonObject = {}


class InputNeededError(Exception):
    """A call cannot go on without a reply that comes with its repetition; `result` asks for it."""

    def __init__(self, result: "types.InputRequiredResult") -> None:
        self.result = result
        super().__init__("the client is asked for input")


class Person(Protocol):
    """Whoever can be asked during a call, with the client in between."""

    @property
    def has_roots(self) -> bool:
        """Whether the client has roots to name."""
        ...

    async def ask(self, question: Question) -> Reply:
        """Return the reply to `question`. Raises InputNeededError where it comes with a repeated call."""
        ...

    async def roots(self) -> tuple[str, ...]:
        """Return the folders that the client works in. Raises InputNeededError where they come with a repeated call."""
        ...


class NoPerson:
    """For calls that no client makes."""

    has_roots = False

    async def ask(self, question: Question) -> Reply:
        """Say that no one can be asked."""
        del question
        return Reply(Outcome.UNAVAILABLE)

    async def roots(self) -> tuple[str, ...]:
        """Know of no folders."""
        return ()


class UsedRounds:
    """Which rounds of questions were answered: each reply counts once."""

    def __init__(self) -> None:
        self._used: OrderedDict[str, None] = OrderedDict()

    def use(self, nonce: str) -> bool:
        """Note that the replies of a round arrived; return False where they had already."""
        if nonce in self._used:
            return False
        self._used[nonce] = None
        if len(self._used) > MAX_REMEMBERED:
            self._used.popitem(last=False)
        return True


class ClientsPerson:
    """The person behind the client of one call.

    Args:
        context: the call's.
        params: what it was called with. Their state is what this server gave out: the SDK's `RequestStateBoundary`
            seals it, and binds it to the tool, its arguments and the caller.
        used: remembers the rounds of all calls.
    """

    def __init__(
        self, context: "ServerRequestContext[Any]", params: "types.CallToolRequestParams", used: UsedRounds
    ) -> None:
        self._context = context
        self._params = params
        self._used = used
        self._replies: dict[str, JsonObject] | None = None

    @property
    def has_roots(self) -> bool:
        """Whether the client declared that it has roots."""
        capabilities = self._context.session.client_capabilities
        return capabilities is not None and capabilities.roots is not None

    async def ask(self, question: Question) -> Reply:
        """Return the reply to `question`. Raises InputNeededError where it comes with a repeated call."""
        if not _takes_forms(self._context):
            return Reply(Outcome.UNAVAILABLE)
        if self._context.session.protocol_version in MODERN_PROTOCOL_VERSIONS:
            reply = self._replied(question.key, question.digest, types.ElicitRequest(params=question.form()))
            return _reply_of(reply["action"], reply["content"])
        reply = types.ElicitResult(action="cancel")
        try:
            with anyio.move_on_after(PATIENCE):
                form = question.form()
                reply = await self._context.session.elicit_form(
                    form.message, form.requested_schema, self._context.request_id
                )
        except (sdk_errors.MCPError, ValidationError) as error:  # it said that it can, and refuses
            logger.info("a question to a client failed: %s", error)
            return Reply(Outcome.UNAVAILABLE)
        return _reply_of(reply.action, reply.content)

    async def roots(self) -> tuple[str, ...]:
        """Return the folders on this machine that the client names as its roots, none where it knows no roots.

        Raises:
            InputNeededError: they come with the repeated call.
        """
        if not self.has_roots:
            return ()
        if self._context.session.protocol_version in MODERN_PROTOCOL_VERSIONS:
            # The Go SDK 1.8 cannot read a question without parameters.
            asked = types.ListRootsRequest(params=types.RequestParams())
            uris: list[str] = self._replied(_ROOTS, _ROOTS, asked)["content"]
        else:
            known = known_roots(self._context)
            if known.uris is None:
                await self._ask_for(known)
            uris = known.uris or []
        return tuple(folder for uri in uris if (folder := folder_of_uri(uri)))

    async def _ask_for(self, known: KnownRoots) -> None:
        metadata = sdk_message.ServerMessageMetadata(related_request_id=self._context.request_id)
        try:
            found = await self._context.session.send_request(
                types.ListRootsRequest(), types.ListRootsResult, ROOTS_SECONDS, metadata
            )
        except (sdk_errors.MCPError, ValidationError) as error:  # it said that it has some, and refuses
            logger.info("a client did not name its roots: %s", error)
            known.refused()
        else:
            known.named(_uris_of(found))

    def _replied(self, key: str, digest: str, asked: "types.ElicitRequest | types.ListRootsRequest") -> JsonObject:
        """Return what a round of this call replied to `asked`. Raises InputNeededError where none has asked it yet."""
        if self._replies is None:
            self._replies = self._received()
        reply = self._replies.get(key)
        if reply is not None and reply["digest"] == digest:
            return reply
        state = {
            "nonce": secrets.token_hex(16),
            "asked": {key: digest},
            "replies": {other: kept for other, kept in self._replies.items() if other != key},
        }
        raise InputNeededError(types.InputRequiredResult(input_requests={key: asked}, request_state=json.dumps(state)))

    def _received(self) -> dict[str, JsonObject]:
        """Return the replies of this call's rounds so far, by question."""
        if self._params.request_state is None:
            return {}
        state = cast("JsonObject", json.loads(self._params.request_state))
        if not self._used.use(state["nonce"]):
            return {}
        replies = cast("dict[str, JsonObject]", state["replies"])
        for key, digest in state["asked"].items():
            response = (self._params.input_responses or {}).get(key)
            if isinstance(response, types.ElicitResult):
                replies[key] = {"digest": digest, "action": response.action, "content": response.content}
            elif isinstance(response, types.ListRootsResult):
                replies[key] = {"digest": digest, "content": _uris_of(response)}
        return replies


def _uris_of(found: "types.ListRootsResult") -> list[str]:
    return [str(root.uri) for root in found.roots]


def folder_of_uri(uri: str) -> str:
    """Return the folder on this machine that a `file:` URI means; an empty text for any other one."""
    parts = urlsplit(uri)
    path = url2pathname(parts.path) if parts.scheme == "file" and parts.netloc in ("", "localhost") else ""
    return path if Path(path).is_absolute() else ""


def _takes_forms(context: "ServerRequestContext[Any]") -> bool:
    """Whether the client declared that it shows forms: the bare capability means forms, too."""
    capabilities = context.session.client_capabilities
    elicitation = capabilities.elicitation if capabilities is not None else None
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)


def _reply_of(action: str, content: Any) -> Reply:
    match action:
        case "accept":
            return Reply(Outcome.ACCEPTED, content or {})
        case "decline":
            return Reply(Outcome.DECLINED)
        case _:
            return Reply(Outcome.DISMISSED)
