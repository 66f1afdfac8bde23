"""Amazon SES, through its API."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from boe_reconciler.core.bounces import DELIVERY_TAG
from boe_reconciler.core.errors import Permanent, RunError, Temporary
from boe_reconciler.core.ports import Cancel, Clock, SecretResolver
from boe_reconciler.core.resources.connection import SesConnection, aws_keys
from boe_reconciler.core.runs import DeliveryStatus, Outcome
from boe_reconciler.core.wording import one_line
from boe_reconciler.destinations._message import Mail

#: What SES takes, encoded.
_MOST = 40_000_000
#: Seconds to connect, and for an answer.
_CONNECT, _ANSWER = 20.0, 120.0
#: Codes of SES that pass by themselves, those of one mail, and those of the whole account.
_LATER = {
    "TooManyRequestsException": "rate_limited",
    "Throttling": "rate_limited",
    "ThrottlingException": "rate_limited",
    "LimitExceededException": "quota",
    "ServiceUnavailable": "server_busy",
    "InternalFailure": "server_busy",
    "InternalServiceErrorException": "server_busy",
    "RequestTimeout": "server_busy",
}
_REFUSED = {
    "MessageRejected": "refused",
    "BadRequestException": "refused",
    "ValidationException": "refused",
    "InvalidParameterValue": "bad_address",
}
_STOPPED = {
    "AccountSuspendedException": "account_stopped",
    "SendingPausedException": "account_stopped",
    "MailFromDomainNotVerifiedException": "sender_refused",
    "NotFoundException": "sender_refused",
    "AccessDenied": "login_refused",
    "AccessDeniedException": "login_refused",
    "ExpiredToken": "login_refused",
    "ExpiredTokenException": "login_refused",
    "IncompleteSignature": "login_refused",
    "InvalidClientTokenId": "login_refused",
    "InvalidSignatureException": "login_refused",
    "SignatureDoesNotMatch": "login_refused",
    "UnrecognizedClientException": "login_refused",
}


class SesChannel:
    def __init__(
        self,
        name: str,
        connection: SesConnection,
        secrets: SecretResolver,
        clock: Clock | None,
    ) -> None:
        del clock  # botocore has its own
        self._name = name
        self._spec = connection
        self._secrets = secrets
        self._down: RunError | None = None

    def open(self, cancel: Cancel) -> None:
        """Permanent where there are no credentials; nobody is asked yet."""
        cancel.check()
        if self._down is not None:
            raise self._down
        try:
            found = self._client  # noqa: F841 made here
        except Exception as error:
            self._down = self._never_sent(error)
            raise self._down from error

    def ask(self) -> None:
        """Whether it takes our credentials. Temporary or Permanent if not."""
        from botocore.exceptions import ClientError

        try:
            self._client.get_account()
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code not in ("AccessDenied", "AccessDeniedException"):
                self._refused(error.response)
            # It knows who asks, and lets them send at most.
        except Exception as error:
            raise self._never_sent(error) from error

    @property
    def limit(self) -> int | None:
        return _MOST

    def send(self, mail: Mail, begin: Callable[[], None], cancel: Cancel) -> Outcome:
        from botocore.exceptions import ClientError

        cancel.check()
        begin()
        try:
            answer = self._client.send_email(
                FromEmailAddress=mail.sender,
                Destination={"ToAddresses": [mail.recipient]},
                Content={"Raw": {"Data": mail.content}},
                EmailTags=[{"Name": DELIVERY_TAG, "Value": mail.identity}],
            )
        except ClientError as error:
            return self._refused(error.response)
        except Exception as error:
            return self._silence(error)
        mail.left(len(mail.content))
        return Outcome(
            status=DeliveryStatus.ACCEPTED,
            receipt=str(answer["MessageId"]),
            remote=f"ses:{self._spec.region}",
        )

    def close(self) -> None:
        if "_client" in self.__dict__:
            self._client.close()

    @cached_property
    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        spec = self._spec
        keys = aws_keys(spec, self._secrets.resolve)
        config = Config(
            connect_timeout=_CONNECT,
            read_timeout=spec.timeout.total_seconds() if spec.timeout else _ANSWER,
            # A second try of a call whose answer was lost would be a second mail.
            retries={"total_max_attempts": 1},
        )
        session = boto3.session.Session(region_name=spec.region, **keys)
        return session.client("sesv2", config=config)

    def _refused(self, response: dict[str, Any]) -> Outcome:
        code = response.get("Error", {}).get("Code", "")
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        text = one_line(response.get("Error", {}).get("Message", ""))
        detail = f"SES answers: {code} {text}"[:300]
        if code in _STOPPED:
            todo = f"check the Connection {self._name} and the account"
            self._down = Permanent(_STOPPED[code], detail, todo)
            raise self._down
        later = code in _LATER or (code not in _REFUSED and status >= 500)
        return Outcome(
            status=DeliveryStatus.DEFERRED if later else DeliveryStatus.REFUSED,
            reason=_LATER.get(code, "server_busy")
            if later
            else _REFUSED.get(code, "refused"),
            message=detail,
        )

    def _silence(self, error: Exception) -> Outcome:
        """Only what fails before a byte has left says that there is no mail."""
        from botocore import exceptions

        before = (
            exceptions.ConnectTimeoutError,
            exceptions.EndpointConnectionError,
            exceptions.NoCredentialsError,
            exceptions.ParamValidationError,
            exceptions.ProxyConnectionError,
            exceptions.SSLError,
        )
        if isinstance(error, before):
            self._down = self._never_sent(error)
            raise self._down from error
        return Outcome(
            status=DeliveryStatus.UNCONFIRMED,
            reason="answer_lost",
            message=f"SES did not say what became of the mail: {one_line(str(error))}",
            remote=f"ses:{self._spec.region}",
        )

    def _never_sent(self, error: Exception) -> RunError:
        from botocore import exceptions

        if isinstance(error, RunError):
            return error
        told = one_line(str(error))
        if isinstance(error, exceptions.SSLError):
            todo = "name the certificates by SSL_CERT_FILE or AWS_CA_BUNDLE"
            return Permanent("tls_untrusted", f"no TLS with SES: {told}", todo)
        if isinstance(error, exceptions.ConnectionError):
            return Temporary("unreachable", f"SES cannot be reached: {told}")
        todo = f"check the Connection {self._name}"
        return Permanent("ses_settings", f"SES cannot be used: {told}", todo)
