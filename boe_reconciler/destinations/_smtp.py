"""Mail servers: one session for many mails, one transaction for each recipient.

The steps are aiosmtplib's, but never its `send`: what goes wrong before the final dot of
a mail left nothing behind, what goes wrong after it may have been delivered.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from boe_reconciler.core.errors import Permanent, RunError, Temporary
from boe_reconciler.core.ports import Cancel, Clock, SecretResolver
from boe_reconciler.core.resources.connection import SmtpConnection
from boe_reconciler.core.runs import DeliveryStatus, Outcome
from boe_reconciler.destinations._message import Mail
from boe_reconciler.destinations._oauth2 import Tokens
from boe_reconciler.destinations._replies import (
    LOGIN_CODES,
    outcome_of_reply,
    said,
)

if TYPE_CHECKING:
    from aiosmtplib import SMTP

_PORTS = {"starttls": 587, "implicit": 465, "none": 25}
#: Seconds for one step, and for the answer to a whole mail: RFC 5321, 4.5.3.2 gives ten
#: minutes to a server that looks for viruses first.
_STEP, _ANSWER = 60.0, 600.0
_CHUNK = 1 << 16
#: Seconds between two looks at what still waits to leave.
_LOOK = 0.002
#: Seconds of a farewell.
_BYE = 2.0


class SmtpChannel:
    def __init__(
        self,
        name: str,
        connection: SmtpConnection,
        secrets: SecretResolver,
        clock: Clock | None,
    ) -> None:
        self._name = name
        self._spec = connection
        self._secrets = secrets
        self._clock = clock
        self._runner = asyncio.Runner()
        self._smtp: SMTP | None = None
        #: Mails that the session has carried.
        self._carried = 0
        #: Why nothing more goes through it in this call.
        self._down: RunError | None = None

    def open(self, cancel: Cancel) -> None:
        """A session that takes a mail. Temporary or Permanent."""
        if self._down is not None:
            raise self._down
        limit = self._spec.rate_limit
        if limit and limit.per_session and self._carried >= limit.per_session:
            self._leave()
        if self._smtp is not None and self._smtp.is_connected:
            return
        try:
            self._connect(cancel)
        except RunError as error:
            cancel.check()
            self._down = error
            raise

    @property
    def limit(self) -> int | None:
        """The largest mail that it takes."""
        told = self._smtp.esmtp_extensions.get("size", "") if self._smtp else ""
        limits = [
            self._spec.max_message_size or 0,
            int(told) if told.isdecimal() else 0,
        ]
        return min((each for each in limits if each), default=None)

    def send(self, mail: Mail, begin: Callable[[], None], cancel: Cancel) -> Outcome:
        """After `open`. Nothing has left for good when `begin` is called."""
        from aiosmtplib import SMTPException, SMTPResponseException

        try:
            self._offer(mail, cancel)
        except SMTPResponseException as error:
            return self._refused(error.code, error.message)
        except (SMTPException, OSError) as error:
            self._drop()
            return _later(f"{self._spec.host} was lost before it had the mail: {error}")
        except ValueError as error:
            self._drop()
            raise Permanent("bad_address", f"{mail.recipient}: {error}") from error
        try:
            begin()
        except BaseException:
            self._drop()  # without its dot it is no mail
            raise
        return self._end()

    def close(self) -> None:
        self._leave()
        self._runner.close()

    # The session.

    def _connect(self, cancel: Cancel) -> None:
        from aiosmtplib import SMTPAuthenticationError

        tokens = self._tokens()
        for renewed in (False, True):
            password = tokens.token(renew=renewed) if tokens else self._password()
            try:
                self._run(self._begin_session(password), cancel)
            except SMTPAuthenticationError as error:
                self._drop()
                if tokens and not renewed and error.code in LOGIN_CODES:
                    continue
                raise self._login_refused(error.code, error.message) from error
            except RunError:
                self._drop()
                raise
            except Exception as error:
                self._drop()
                raise self._unopened(error) from error
            return

    async def _begin_session(self, password: str | None) -> None:
        from aiosmtplib import SMTP

        spec = self._spec
        encrypted = spec.tls != "none"
        smtp = self._smtp = SMTP(
            hostname=spec.host,
            port=spec.port or _PORTS[spec.tls],
            use_tls=spec.tls == "implicit",
            start_tls=False,
            tls_context=ssl.create_default_context() if encrypted else None,
            timeout=self._patience(_STEP),
        )
        self._carried = 0
        await smtp.connect()
        await smtp.ehlo()
        if spec.tls == "starttls":
            self._require("starttls", "tls_missing", "set `tls` to what it offers")
            await smtp.starttls()
            await smtp.ehlo()
        if password is not None:
            await self._log_in(smtp, password)

    async def _log_in(self, smtp: SMTP, password: str) -> None:
        self._require("auth", "login_missing", "check `port` and `tls`")
        user = self._spec.user or ""
        if self._spec.oauth2 is None:
            await smtp.login(user, password)
        elif "xoauth2" not in smtp.server_auth_methods:
            todo = "use a password, or check the host"
            detail = f"{self._spec.host} offers no XOAUTH2"
            raise Permanent("login_missing", detail, todo)
        else:
            await smtp.auth_xoauth2(user, password)

    def _require(self, extension: str, reason: str, todo: str) -> None:
        if self._smtp is None or not self._smtp.supports_extension(extension):
            detail = f"{self._spec.host} offers no {extension.upper()}"
            raise Permanent(reason, detail, todo)

    def _password(self) -> str | None:
        if self._spec.password is None:
            return None
        return self._secrets.resolve(self._spec.password)

    def _tokens(self) -> Tokens | None:
        if self._spec.oauth2 is None:
            return None
        return Tokens(self._spec.oauth2, self._secrets, self._clock)

    def _patience(self, most: float) -> float:
        timeout = self._spec.timeout
        return most if timeout is None else min(most, timeout.total_seconds())

    def _leave(self) -> None:
        """Politely, and not for long."""
        smtp = self._smtp
        if smtp is not None and smtp.is_connected:
            transport = smtp.transport
            with suppress(Exception):
                self._runner.run(smtp.quit(timeout=_BYE))
            _abort(transport)  # TLS would wait for the other side's farewell
        self._drop()

    def _drop(self) -> None:
        if self._smtp is not None:
            _abort(self._smtp.transport)
            self._smtp.close()
            self._runner.run(asyncio.sleep(0))  # the loop closes what it holds
        self._smtp = None
        self._carried = 0

    def _run(self, work: Coroutine[Any, Any, None], cancel: Cancel) -> None:
        """Interrupted when the run is to stop: then nothing has left for good."""

        async def interruptible() -> None:
            task, loop = asyncio.current_task(), asyncio.get_running_loop()
            assert task is not None  # noqa: S101 it is the one that runs
            with cancel.on_cancel(lambda: loop.call_soon_threadsafe(task.cancel)):  # type: ignore[arg-type]  # nobody reads what it returns
                await work

        try:
            self._runner.run(interruptible())
        except asyncio.CancelledError:
            self._drop()
            cancel.check()
            raise Temporary("interrupted", "the delivery was interrupted") from None
        except Exception as error:
            if not isinstance(error, OSError) and not _is_smtp(error):
                self._drop()  # what was begun is no mail
            raise

    # One mail.

    def _offer(self, mail: Mail, cancel: Cancel) -> None:
        """All of it but the final dot; once more where an idle session was closed."""
        from aiosmtplib import SMTPException

        fresh = self._carried == 0
        try:
            self._run(self._envelope(mail), cancel)
        except (SMTPException, OSError):
            if fresh or (self._smtp is not None and self._smtp.is_connected):
                raise
            self._drop()
            self.open(cancel)
            self._run(self._envelope(mail), cancel)
        self._run(self._content(mail, cancel), cancel)

    async def _envelope(self, mail: Mail) -> None:
        smtp = self._session()
        options, encoding = [], "ascii"
        if smtp.supports_extension("size"):
            options.append(f"SIZE={len(mail.content)}")
        if mail.needs_utf8:
            if not smtp.supports_extension("smtputf8"):
                detail = f"{self._spec.host} takes no addresses that are not ASCII"
                raise Permanent("smtputf8_missing", detail, "use an ASCII address")
            options += ["SMTPUTF8", "BODY=8BITMIME"]
            encoding = "utf-8"
        asked = []
        if mail.tag and smtp.supports_extension("dsn"):
            # RFC 3461: who knows it, names the mail by our own word for it.
            options += ["RET=HDRS", f"ENVID={mail.tag}"]
            asked = ["NOTIFY=FAILURE,DELAY"]
        await smtp.mail(mail.sender, options=options, encoding=encoding)
        await smtp.rcpt(mail.recipient, options=asked, encoding=encoding)

    async def _content(self, mail: Mail, cancel: Cancel) -> None:
        from aiosmtplib import SMTPDataError

        smtp = self._session()
        answer = await smtp.execute_command(b"DATA")
        if answer.code != 354:
            raise SMTPDataError(answer.code, answer.message)
        content = _stuffed(mail.content)
        for start in range(0, len(content), _CHUNK):
            cancel.check()
            async with asyncio.timeout(self._patience(_STEP)):
                await self._pour(content[start : start + _CHUNK])
            mail.left(min(start + _CHUNK, len(mail.content)))

    async def _pour(self, chunk: bytes) -> None:
        """Written, and out of the house as far as we can see."""
        from aiosmtplib import SMTPServerDisconnected

        protocol = self._session().protocol
        if protocol is None:
            raise SMTPServerDisconnected("connection lost")
        protocol.write(chunk)
        transport: Any = protocol.transport
        while protocol.is_connected and transport.get_write_buffer_size():
            await asyncio.sleep(_LOOK)

    def _end(self) -> Outcome:
        """The final dot: from here on silence means that nobody knows."""
        from aiosmtplib import SMTPException

        self._carried += 1
        host = self._spec.host
        try:
            answer = self._runner.run(self._dot())
        except (SMTPException, OSError) as error:
            self._drop()
            return _unknown(host, str(error))
        if answer is None:
            self._drop()
            return _later(f"{host} was lost before it had all of the mail")
        code, text = answer
        if code // 100 in (4, 5):
            return self._refused(code, text)
        if code // 100 != 2:
            self._drop()
            return _unknown(host, said(code, text))
        return outcome_of_reply(host, code, text)

    async def _dot(self) -> tuple[int, str] | None:
        """The answer; None where the connection ended before the dot could leave."""
        await asyncio.sleep(0)  # the loop learns of what came in before
        await asyncio.sleep(0)
        protocol = self._session().protocol
        if protocol is None or not protocol.is_connected:
            return None
        protocol.write(b".\r\n")
        # In the same breath: an answer that nobody waits for is thrown away.
        return await protocol.read_response(timeout=self._patience(_ANSWER))

    def _session(self) -> SMTP:
        assert self._smtp is not None  # noqa: S101 `open` came first
        return self._smtp

    # Answers.

    def _refused(self, code: int, text: str) -> Outcome:
        if code in LOGIN_CODES:
            self._down = self._login_refused(code, text)
            self._drop()
            raise self._down
        if code == 421:
            self._drop()
        else:
            self._reset()
        return outcome_of_reply(self._spec.host, code, text)

    def _reset(self) -> None:
        try:
            self._runner.run(self._session().rset())
        except Exception:  # whatever it is, the next mail gets a new session
            self._drop()

    def _login_refused(self, code: int, text: str) -> RunError:
        detail = f"{self._spec.host} refuses the login: {said(code, text)}"
        if code < 500:
            return Temporary("login_unavailable", detail)
        what = "its oauth2" if self._spec.oauth2 else "its user and password"
        return Permanent(
            "login_refused", detail, f"check the Connection {self._name}, {what}"
        )

    def _unopened(self, error: Exception) -> RunError:
        """Why there is no session, from whatever aiosmtplib or the system raised."""
        from aiosmtplib import SMTPException, SMTPResponseException

        host = self._spec.host
        found = error if isinstance(error, ssl.SSLError) else error.__cause__
        if isinstance(found, ssl.SSLCertVerificationError):
            detail = f"the certificate of {host} is not trusted: {found.verify_message}"
            todo = "check `host`, or name the certificates by SSL_CERT_FILE"
            return Permanent("tls_untrusted", detail, todo)
        if isinstance(found, ssl.SSLError):
            todo = "check `port` and `tls`"
            return Temporary("tls_failed", f"no TLS with {host}: {found}", todo)
        if isinstance(error, SMTPResponseException) and error.code >= 500:
            detail = f"{host} refuses us: {said(error.code, error.message)}"
            return Permanent("server_refuses", detail, "ask whoever runs it")
        if isinstance(error, SMTPException | OSError):
            return Temporary("unreachable", f"{host} cannot be reached: {error}")
        if isinstance(error, ValueError):
            return Permanent("bad_host", f"{host}: {error}", "check `host`")
        raise error


def _abort(transport: Any) -> None:
    """Closed at once: `close` would wait for what is not written yet."""
    if transport is not None:
        transport.abort()


def _is_smtp(error: Exception) -> bool:
    from aiosmtplib import SMTPException

    return isinstance(error, SMTPException)


def _stuffed(content: bytes) -> bytes:
    """With a dot before each line that begins with one: RFC 5321, 4.5.2."""
    doubled = content.replace(b"\r\n.", b"\r\n..")
    first = b"." if content.startswith(b".") else b""
    last = b"" if content.endswith(b"\r\n") else b"\r\n"
    return first + doubled + last


def _later(message: str) -> Outcome:
    return Outcome(
        status=DeliveryStatus.DEFERRED, reason="connection_lost", message=message
    )


def _unknown(host: str, what: str) -> Outcome:
    return Outcome(
        status=DeliveryStatus.UNCONFIRMED,
        reason="answer_lost",
        message=f"{host} had all of the mail and did not say what became of it: {what}",
        remote=host,
    )
