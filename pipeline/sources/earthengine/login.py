"""Signing in to Earth Engine, once a process, with all its requests sent the pipeline's way."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import ee
import google.auth
import googleapiclient.errors
import httplib2
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
from google.oauth2 import service_account

from minebench.errors import InputError, WorkError
from pipeline.web import client

if TYPE_CHECKING:
    from pipeline.sources.earthengine import Options

PROJECT_VARIABLES = ("EARTHENGINE_PROJECT", "GOOGLE_CLOUD_PROJECT")
REGISTER = "https://console.cloud.google.com/earth-engine"
COMPUTED_S = 330
"""Longest time before the first byte of a computed answer: Earth Engine computes for up to five minutes."""
TOO_MANY = 429
_lock = threading.Lock()
_signed_in: tuple[Any, ...] | None = None


class Transport:
    """What the `ee` client takes for an httplib2.Http: its requests go through `pipeline.web.client`."""

    def __init__(self, parallel: int) -> None:
        self.parallel = parallel

    def request(
        self, uri: str, method: str = "GET", body: Any = None, headers: dict[str, str] | None = None,
        redirections: int | None = None, connection_type: Any = None,
    ) -> tuple[httplib2.Response, bytes]:  # fmt: skip
        silence = COMPUTED_S if urlsplit(uri).path.endswith(":computePixels") else client.SILENCE_S
        answer = client.request(
            uri, method=method, headers=headers, body=body, parallel=self.parallel, silence=silence
        )
        return httplib2.Response({**answer.headers, "status": str(answer.status)}), answer.content

    def close(self) -> None:
        pass


def sign_in(options: Options) -> None:
    """Initialise the client unless it is for these options already. InputError says what of
    account, key or project is missing, and where to get it."""
    global _signed_in
    wanted = (options.url, options.project, options.service_account_key, options.parallel)
    # Under a lock: clients that start together are refused together.
    with _lock:
        if _signed_in == wanted:
            return
        _check_url(options.url)
        credentials = _credentials(options)
        project = _project(options, credentials)
        ee.data.setMaxRetries(0)  # `web` does it
        transport = Transport(options.parallel)
        calling(lambda: ee.Initialize(credentials, options.url, None, transport, project), "signing in")
        _signed_in = wanted


def calling(call: Callable[[], Any], what: str) -> Any:
    """The call's result; every failure is one sentence about `what`."""
    try:
        return call()
    except WorkError as error:
        raise _of_a_quota(error, what) from None
    except googleapiclient.errors.Error as error:
        raise client.Refused(f"{what}: Earth Engine refuses ({_first_line(error)}).") from None
    except GoogleAuthError as error:
        raise InputError(
            f"{what}: the Earth Engine credentials are not valid (any more) ({_first_line(error)}); "
            "run `earthengine authenticate`."
        ) from None
    except ee.EEException as error:
        raise _explained(str(error), what) from None
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, OSError) as error:
        raise client.Refused(
            f"{what}: Earth Engine's answer cannot be read ({type(error).__name__}: {_first_line(error)})."
        ) from None


def _of_a_quota(error: WorkError, what: str) -> WorkError:
    """The error, with what to do about it where a quota is used up: its text says which."""
    if getattr(error, "status", 0) != TOO_MANY:
        return error
    return WorkError(
        f"{what}: a quota of the Cloud project is used up ({_line(str(error), 400)}); lower "
        "source.parallel, or see in the Cloud console, at IAM & Admin, Quotas, when it is there again."
    )


def _explained(text: str, what: str) -> Exception:
    """An Earth Engine error as what the user can do about it."""
    lower = text.lower()
    if "not registered" in lower or "has not been used in project" in lower or "is disabled" in lower:
        return InputError(f"The Cloud project is not registered for Earth Engine: register it at {REGISTER}.")
    if "no project found" in lower or "required permission to use project" in lower:
        return InputError(
            "Earth Engine needs a Cloud project that you may use: name it as source.project or in "
            f"{PROJECT_VARIABLES[0]} ({REGISTER})."
        )
    if "unexpected response" in lower:
        return client.Refused(f"{what}: Earth Engine did not answer with JSON.")
    if "not found" in lower or "does not exist" in lower:
        return client.Gone(f"{what}: {_line(text)}.")
    return WorkError(f"{what}: {_line(text)}.")


def _credentials(options: Options) -> Any:
    """A service account's key, what `earthengine authenticate` stored, or application default."""
    if options.service_account_key is not None:
        return _from_key(options.service_account_key)
    if Path(ee.oauth.get_credentials_path()).is_file():
        try:
            return ee.data.get_persistent_credentials()
        except ee.EEException:
            raise InputError(
                "What `earthengine authenticate` stored is not valid any more: run it again."
            ) from None
    try:
        return google.auth.default(scopes=ee.oauth.SCOPES)[0]
    except DefaultCredentialsError:
        raise InputError(
            "There are no Earth Engine credentials here: run `earthengine authenticate`, name a key "
            "file as source.service_account_key, or set GOOGLE_APPLICATION_CREDENTIALS."
        ) from None


def _from_key(path: Path) -> Any:
    try:
        return service_account.Credentials.from_service_account_file(str(path), scopes=ee.oauth.SCOPES)
    except FileNotFoundError:
        raise InputError(f"source.service_account_key: there is no file {path}.") from None
    except (ValueError, GoogleAuthError, OSError):
        raise InputError(f"source.service_account_key: {path} is not a key of a service account.") from None


def told(options: Options) -> str:
    """Return where credentials and project come from, by their names alone."""
    if options.service_account_key is not None:
        key = "source.service_account_key"
    elif Path(ee.oauth.get_credentials_path()).is_file():
        key = "what `earthengine authenticate` stored"
    else:
        key = "application default credentials"
    named = next((name for name in PROJECT_VARIABLES if os.environ.get(name)), "the credentials")
    return f"{key}; project from {'source.project' if options.project else named}"


def _project(options: Options, credentials: Any) -> str:
    named = [options.project, *(os.environ.get(name) for name in PROJECT_VARIABLES)]
    own = [getattr(credentials, name, None) for name in ("quota_project_id", "project_id")]
    project = next((name for name in [*named, *own] if name), None)
    if project is None:
        raise InputError(
            f"Earth Engine needs a Cloud project: name it as source.project or in {PROJECT_VARIABLES[0]}; "
            f"projects are registered at {REGISTER}."
        )
    return str(project)


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost"):
        raise InputError("source.url must begin with https://, because credentials are sent to it.")


def _line(text: str, longest: int = 200) -> str:
    first = text.strip().splitlines()[0] if text.strip() else "no reason given"
    return client.redacted(first)[:longest].rstrip(".")


def _first_line(error: Exception) -> str:
    return _line(str(error))
