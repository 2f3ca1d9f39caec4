# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of WS-Management (MS-WSMV) that a remote cmd shell needs: requests are parsed, answers and faults are built.

Nothing here reads, writes, waits or knows a process: bytes come in, a `Request` comes out; a result goes in, bytes come
out. What cannot be done is a `Fault`: `Refused` carries it up, `faulted` makes an envelope of it.
"""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from dataclasses import dataclass, field
from typing import Mapping
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

SHELL = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
TRANSFER = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
ANONYMOUS = "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous"
FAULT_ACTION = "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault"
WSMAN_FAULT = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"
WMI_ERROR = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/MSFT_WmiError"
NAMES = {
    "s": "http://www.w3.org/2003/05/soap-envelope",
    "a": "http://schemas.xmlsoap.org/ws/2004/08/addressing",
    "x": TRANSFER,
    "w": "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd",
    "p": "http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd",
    "rsp": SHELL,
}
ACTIONS = {
    f"{TRANSFER}/Create": "Create",
    f"{TRANSFER}/Delete": "Delete",
    **{f"{SHELL}/{name}": name for name in ("Command", "Send", "Receive", "Signal")},
}
URIS = {name: uri for uri, name in ACTIONS.items()}
# What an answer needs around its output; measured at 1.5 kB, and ids are of fixed length.
AROUND_OUTPUT = 2048


@dataclass(frozen=True)
class Fault:
    """A refusal. `by_sender`: whose mistake it was; `wmi`: a WMI error carries the code."""

    code: int
    message: str
    subcode: str = "w:InternalError"
    by_sender: bool = False
    wmi: bool = False


class Refused(Exception):
    """A request cannot be carried out, for the reason in `fault`."""

    def __init__(self, fault: Fault) -> None:
        """Keep the fault for the answer."""
        super().__init__(fault.message)
        self.fault = fault


_LATE = "The WS-Management service cannot complete the operation within the time specified in OperationTimeout."
TIMED_OUT = Fault(2150858793, _LATE, "w:TimedOut")
# ansible-core looks for this code in the WMI error and then makes a new shell.
QUOTA = Fault(
    0x803381A6,
    "This user is allowed a maximum number of concurrent operations, which has been exceeded.",
    wmi=True,
)
ACCESS_DENIED = Fault(5, "Access is denied.", "w:AccessDenied", by_sender=True)
ABORTED = Fault(995, "The I/O operation has been aborted because of an application request.")
PIPE_CLOSING = Fault(2147942632, "The pipe is being closed.")


def not_found(kind: str, name: str) -> Fault:
    """The fault for a shell or a command that is not there (any more)."""
    what = "shell" if kind == "ShellId" else "command"
    message = f"The request for the Windows Remote Shell with {kind} {name} failed because the {what} was not found"
    return Fault(2150858843, f"{message} on the server.", "w:InvalidSelectors", by_sender=True)


@dataclass(frozen=True)
class Request:
    """One parsed request. `number` and `nth` (of its action) are counted from 1 by the server that received it."""

    action: str
    message_id: str
    shell: str = ""
    command: str = ""
    line: str = ""
    stdin: bytes = b""
    end: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 60.0
    max_envelope: int = 153600
    number: int = 0
    nth: int = 0

    def option(self, name: str) -> bool:
        """True if this option of the shell or command was switched on."""
        return self.options.get(name, "").upper() == "TRUE"


def parse(data: bytes) -> Request:
    """Read a request; what is no request, or none we know, is a fault."""
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise _invalid(f"The XML is not valid: {error}.") from error
    header, body = root.find("s:Header", NAMES), root.find("s:Body", NAMES)
    if header is None or body is None:
        raise _invalid("The envelope has no header or no body.")
    uri = header.findtext("a:Action", "", NAMES)
    if uri not in ACTIONS:
        message = f"The action {uri} is not supported by the service."
        raise Refused(Fault(2150858754, message, "a:ActionNotSupported", by_sender=True))
    stream = body.find("rsp:Send/rsp:Stream", NAMES)
    named = body.find(".//*[@CommandId]")
    return Request(
        action=ACTIONS[uri],
        message_id=header.findtext("a:MessageID", "", NAMES),
        shell=_named(header, "w:SelectorSet/w:Selector").get("ShellId", ""),
        command="" if named is None else named.get("CommandId", ""),
        line=_command_line(body),
        stdin=b"" if stream is None else _decoded(stream.text or ""),
        end=stream is not None and stream.get("End", "").lower() == "true",
        environment=_named(body, "rsp:Shell/rsp:Environment/rsp:Variable"),
        options=_named(header, "w:OptionSet/w:Option"),
        timeout=_seconds(header.findtext("w:OperationTimeout", "", NAMES)),
        max_envelope=int(header.findtext("w:MaxEnvelopeSize", "153600", NAMES)),
    )


def _named(element: ElementTree.Element, path: str) -> dict[str, str]:
    return {each.get("Name", ""): each.text or "" for each in element.iterfind(path, NAMES)}


def _command_line(body: ElementTree.Element) -> str:
    """The service joins command and arguments with spaces; nothing is quoted on the way."""
    parts = body.iterfind("rsp:CommandLine/*", NAMES)
    return " ".join(part.text for part in parts if part.text)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except binascii.Error as error:
        raise _invalid(f"The input is not base64: {error}.") from error


def _invalid(message: str) -> Refused:
    return Refused(Fault(2150858817, message, "w:SchemaValidationError", by_sender=True))


def _seconds(duration: str) -> float:
    """An ISO 8601 duration below one day; 60 seconds, the service's default, for anything else."""
    found = re.fullmatch(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?", duration)
    if not found or not any(found.groups()):
        return 60.0
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds


def room(request: Request) -> int:
    """How many bytes of output fit into the envelope this client accepts; base64 makes four of three."""
    return max(3, (request.max_envelope - AROUND_OUTPUT) // 4 * 3)


def answered(request: Request, body: str = "") -> bytes:
    """The envelope of a request that was carried out."""
    return _envelope(URIS[request.action] + "Response", request.message_id, body)


def created(request: Request, shell: str, url: str) -> bytes:
    """The answer to Create."""
    return answered(
        request,
        f"<x:ResourceCreated><a:Address>{escape(url)}</a:Address><a:ReferenceParameters>"
        f"<w:ResourceURI>{SHELL}/cmd</w:ResourceURI>"
        f'<w:SelectorSet><w:Selector Name="ShellId">{shell}</w:Selector></w:SelectorSet>'
        "</a:ReferenceParameters></x:ResourceCreated>"
        f"<rsp:Shell><rsp:ShellId>{shell}</rsp:ShellId></rsp:Shell>",
    )


def started(request: Request, command: str) -> bytes:
    """The answer to Command."""
    name = f"<rsp:CommandId>{command}</rsp:CommandId>"
    return answered(request, f"<rsp:CommandResponse>{name}</rsp:CommandResponse>")


def received(request: Request, stdout: bytes, stderr: bytes, code: int | None) -> bytes:
    """The answer to Receive; `code` is the exit code once everything was handed over."""
    command = quoteattr(request.command)
    streams = ""
    for name, data in (("stdout", stdout), ("stderr", stderr)):
        if data:
            text = base64.b64encode(data).decode()
            streams += f'<rsp:Stream Name="{name}" CommandId={command}>{text}</rsp:Stream>'
        if code is not None:
            streams += f'<rsp:Stream Name="{name}" CommandId={command} End="true"/>'
    state = "Running" if code is None else "Done"
    # Windows has no negative exit codes: it shows the 32 bits.
    end = "" if code is None else f"<rsp:ExitCode>{code & 0xFFFFFFFF}</rsp:ExitCode>"
    states = f'<rsp:CommandState CommandId={command} State="{SHELL}/CommandState/{state}">{end}'
    return answered(
        request, f"<rsp:ReceiveResponse>{streams}{states}</rsp:CommandState></rsp:ReceiveResponse>"
    )


def faulted(fault: Fault, message_id: str) -> bytes:
    """The envelope of a fault."""
    text = escape(fault.message)
    return _envelope(
        FAULT_ACTION,
        message_id,
        f"<s:Fault><s:Code><s:Value>s:{'Sender' if fault.by_sender else 'Receiver'}</s:Value>"
        f"<s:Subcode><s:Value>{fault.subcode}</s:Value></s:Subcode></s:Code>"
        f'<s:Reason><s:Text xml:lang="en-US">{text}</s:Text></s:Reason>'
        f"<s:Detail>{_wmi_error(fault) if fault.wmi else _wsman_fault(fault)}</s:Detail></s:Fault>",
    )


def _wsman_fault(fault: Fault) -> str:
    return (
        f'<f:WSManFault xmlns:f="{WSMAN_FAULT}" Code="{fault.code}" Machine="localhost">'
        f"<f:Message>{escape(fault.message)}</f:Message></f:WSManFault>"
    )


def _wmi_error(fault: Fault) -> str:
    return (
        f'<q:MSFT_WmiError xmlns:q="{WMI_ERROR}"><q:error_Code>{fault.code}</q:error_Code>'
        f"<q:error_Type>HRESULT</q:error_Type></q:MSFT_WmiError>"
    )


def _envelope(action: str, relates_to: str, body: str) -> bytes:
    names = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in NAMES.items())
    return (
        f'<s:Envelope xml:lang="en-US" {names}><s:Header><a:Action>{action}</a:Action>'
        f"<a:MessageID>uuid:{str(uuid.uuid4()).upper()}</a:MessageID><a:To>{ANONYMOUS}</a:To>"
        f"<a:RelatesTo>{escape(relates_to)}</a:RelatesTo></s:Header>"
        f"<s:Body>{body}</s:Body></s:Envelope>"
    ).encode()
