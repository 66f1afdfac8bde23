"""Notices to the URL of a setting, in the shape that Slack, Teams and others take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from boe_reconciler.core import retry
from boe_reconciler.core.errors import Permanent, Temporary
from boe_reconciler.core.notices import Owed
from boe_reconciler.core.shapes import shaped

#: Seconds that one try may take, in each of its steps.
PATIENCE = 10.0
#: Who asks for more patience is told again after this.
_LONGEST = timedelta(hours=1)
_LATER = (408, 425, 429)


def create(resolve: Callable[[], str]) -> Callable[[Owed], None]:
    """Sends one notice; `resolve` gives the URL, which is a secret."""

    def send(owed: Owed) -> None:
        url = resolve()
        _post(url, owed.body)

    return send


def _post(url: str, said: Mapping[str, Any]) -> None:
    import httpx  # 0.2 s, and only where somebody is to be told

    try:
        # Of the address only the host may be told: the rest of it is a key.
        host = urlsplit(url).hostname or "?"
        with httpx.stream(
            "POST",
            url,
            json=shaped(host, said),
            timeout=PATIENCE,
            follow_redirects=False,
            headers={"User-Agent": "boe"},
        ) as answer:
            status, wait = (
                answer.status_code,
                retry.asked(answer.headers, most=_LONGEST),
            )
    except httpx.TransportError as error:
        detail = f"{host} did not answer ({type(error).__name__})."
        raise Temporary("unreachable", detail) from None
    except (httpx.InvalidURL, ValueError):
        raise Permanent("not_a_url", "BOE_NOTICE_URL is no web address.") from None
    if status in _LATER or status >= 500:
        raise Temporary("refused", f"{host} answered {status}.", delay=wait)
    if status >= 300:
        raise Permanent("refused", f"{host} answered {status}.")
