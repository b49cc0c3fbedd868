"""Object storage: which settings a URL takes, by what names, and how both libraries that reach it are given them.

Files are read and written by fsspec (s3fs, gcsfs, adlfs), commits by deltalake (object_store). Settings go by the names
of the environment variables that object_store knows, from the environment or from storage options, which win; the
tables here say what fsspec's packages call them.
"""

from __future__ import annotations

import difflib
import importlib.util
import ipaddress
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from mmdata.errors import ConfigError, MissingExtra, MMDataError, Unreachable

Options = Mapping[str, str]
_TRUE = ("1", "true", "yes", "on")
# a dead endpoint is told of within half a minute, a short break is lived through
_CONNECT_S, _READ_S, _ATTEMPTS = 5, 30, 4
_PATIENCE = {
    "connect_timeout": f"{_CONNECT_S}s",
    "timeout": f"{2 * _READ_S}s",
    "max_retries": f"{_ATTEMPTS}",
    "retry_timeout": "20s",
}
_MOST_CHARS = 400  # of a library's own words
_COLOURS = re.compile("\x1b\\[[0-9;]*m")
_DECISIONS = ("CommitFailedError", "TableNotFoundError")  # deltalake's answers, not its failures
_LIBRARIES = frozenset(
    ("aiobotocore", "botocore", "aiohttp", "deltalake", "_internal", "s3fs", "gcsfs", "google", "azure")
)
# how errors of all these libraries, and the codes of servers, say that a request was refused, or found no server
_REFUSED = (
    "permissionerror", "credential", "accessdenied", "forbidden", "signaturedoesnotmatch", "invalidaccesskeyid",
    "authorization", "authentication", "unauthorized", "invalid_grant", "expiredtoken", "refresherror",
)  # fmt: skip
_AWAY = (
    "connect", "timeout", "timed out", "error sending request", "http error", "servicerequesterror", "unreachable",
    "internalerror", "serviceunavailable", "slowdown", "500 ", "503 ", "incompleteread", "payload",
)  # fmt: skip


@dataclass(frozen=True)
class _Kind:
    """One kind of object storage.

    Args:
        extra: of mmdata, which is also what messages call it. package: the one that fsspec needs.
        schemes: of URLs. names: settings, with what fsspec's package calls them; "" where it takes no part, or another
            form than the plain value.
        secret: those that are never shown.
    """

    extra: str
    package: str
    schemes: tuple[str, ...]
    names: Mapping[str, str]
    secret: tuple[str, ...]


_KINDS = (
    _Kind(
        "s3",
        "s3fs",
        ("s3", "s3a"),
        {
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_SESSION_TOKEN": "token",
            "AWS_ENDPOINT_URL": "endpoint_url",
            "AWS_ENDPOINT_URL_S3": "",
            "AWS_REGION": "",
            "AWS_DEFAULT_REGION": "",
            "AWS_ALLOW_HTTP": "",
            "AWS_SKIP_SIGNATURE": "",
            "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "",
            "AWS_SERVER_SIDE_ENCRYPTION": "",
            "AWS_SSE_KMS_KEY_ID": "",
        },
        ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    ),
    _Kind(
        "gs",
        "gcsfs",
        ("gs", "gcs"),
        {
            "GOOGLE_SERVICE_ACCOUNT": "token",
            "GOOGLE_SERVICE_ACCOUNT_KEY": "",
            "GOOGLE_APPLICATION_CREDENTIALS": "",
            "GOOGLE_SKIP_SIGNATURE": "",
            "GOOGLE_BASE_URL": "endpoint_url",
        },
        ("GOOGLE_SERVICE_ACCOUNT_KEY",),
    ),
    _Kind(
        "az",
        "adlfs",
        ("az", "abfs", "abfss"),
        {
            "AZURE_STORAGE_ACCOUNT_NAME": "account_name",
            "AZURE_STORAGE_ACCOUNT_KEY": "account_key",
            "AZURE_STORAGE_SAS_TOKEN": "sas_token",
            "AZURE_STORAGE_CLIENT_ID": "client_id",
            "AZURE_STORAGE_CLIENT_SECRET": "client_secret",
            "AZURE_STORAGE_TENANT_ID": "tenant_id",
            "AZURE_STORAGE_ENDPOINT": "",
            "AZURE_STORAGE_USE_EMULATOR": "",
            "AZURE_ALLOW_HTTP": "",
            "AZURE_SKIP_SIGNATURE": "",
        },
        ("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_CLIENT_SECRET"),
    ),
)
NAMES = tuple(name for kind in _KINDS for name in kind.names)
_SECRET = tuple(name for kind in _KINDS for name in kind.secret)


def parse_options(given: list[str] | None) -> dict[str, str]:
    """Storage options of a command line, each NAME=VALUE. Raises ConfigError with every fault, and without values."""
    pairs = [text.partition("=") for text in given or ()]
    faults = [
        f"expected NAME=VALUE, as in AWS_REGION=eu-west-1; {name[:40]!r} has no '='" for name, eq, _ in pairs if not eq
    ]
    options = {name: value for name, eq, value in pairs if eq}
    if faults := [*faults, *option_faults(options)]:
        raise ConfigError("--storage-option", faults)
    return options


def option_faults(options: Options) -> list[str]:
    """What is wrong with storage options, whatever they are used for."""
    faults = []
    for name in options:
        if name.upper() == "AWS_S3_ALLOW_UNSAFE_RENAME":
            faults.append(f"{name}: would let one writer's commit replace another's; commits need conditional puts")
        elif name not in NAMES:
            close = difflib.get_close_matches(name.upper(), NAMES, 1)
            known = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(NAMES)}"
            faults.append(f"no storage option {name!r}, {known}")
    return faults


def check_place(url: str, options: Options | None = None) -> None:
    """See that a place can be reached by what is installed and set, asking nobody.

    Raises:
        MissingExtra: the package for this kind of URL is not installed.
        ConfigError: a setting is unknown, unsafe, or would send credentials in the clear.
    """
    kind = _kind(url)
    if faults := option_faults(options or {}):
        raise ConfigError(url, faults)
    if kind is None:
        scheme, colon, rest = url.partition(":/")
        if colon and not rest.startswith("/") and any(scheme in each.schemes for each in _KINDS):
            raise ConfigError(url, [f"is no URL and would be a folder here, did you mean '{scheme}://{rest}'?"])
        return
    if importlib.util.find_spec(kind.package) is None:
        raise MissingExtra(url, [f"needs {kind.package}: pip install 'mmdata[{kind.extra}]'"])
    if fault := _fault(kind, _resolved(kind, options or {})):
        raise ConfigError(url, [fault])


def fsspec_settings(url: str, options: Options | None = None) -> dict[str, Any]:
    """What fsspec's file system for a URL is to be made with; empty for other URLs. Raises as `check_place`."""
    kind = _kind(url)
    if kind is None:
        return {}
    check_place(url, options)
    found = _resolved(kind, options or {})
    named = {kind.names[name]: value for name, value in found.items() if kind.names[name]}
    return named | {"s3": _for_s3fs, "gs": _for_gcsfs, "az": _for_adlfs}[kind.extra](found)


def delta_options(url: str, options: Options | None = None) -> dict[str, str]:
    """What deltalake is to be given for a URL; empty for local paths. Raises as `check_place`."""
    kind = _kind(url)
    if kind is None:
        return {}
    check_place(url, options)
    found = _resolved(kind, options or {})
    if kind.extra == "s3":
        # said, as an AWS_S3_ALLOW_UNSAFE_RENAME that is left over in the environment would do without it
        found |= {"aws_conditional_put": "etag", "AWS_S3_ALLOW_UNSAFE_RENAME": "false"}
        found.setdefault("AWS_REGION", found.pop("AWS_DEFAULT_REGION", "us-east-1"))
        if _is_plain(found.get("AWS_ENDPOINT_URL")):
            found["AWS_ALLOW_HTTP"] = "true"
    elif kind.extra == "gs" and _is_plain(found.get("GOOGLE_BASE_URL")):
        found["allow_http"] = "true"
    elif kind.extra == "az" and _is_plain(found.get("AZURE_STORAGE_ENDPOINT")):
        found["AZURE_ALLOW_HTTP"] = "true"
    return found | _PATIENCE


def open_place(url: str, options: Options | None = None) -> tuple[Any, str]:
    """The file system for a URL, by fsspec, without cached listings, as others write there too; and the root on it.

    Raises:
        ConfigError: there is no file system for such URLs, or a setting can't work.
    """
    from fsspec.core import url_to_fs

    settings = fsspec_settings(url, options)
    try:
        system, root = url_to_fs(url, use_listings_cache=False, **settings)
    except (ImportError, ValueError) as error:
        raise ConfigError(url, [str(error)]) from error
    if "s3" in system.protocol:
        system.retries = 2  # of s3fs, around the attempts of botocore: for answers that break off
    return system, str(root).rstrip("/")


@contextmanager
def told(url: str, options: Options | None = None, *, creating: bool = False) -> Iterator[None]:
    """Turn what the libraries of object storage raise into OSErrors that say what to do, and show no secret.

    Args:
        url: what is being reached; nothing is done for others than object storage.
        options: for it.
        creating: whether it is a conditional put.

    Raises:
        FileNotFoundError, FileExistsError: as they were; the latter also where a conditional put came too late.
        PermissionError: the server refuses. Unreachable: there is no server, or it does not answer.
        BlockingIOError: another conditional put is under way; try again.
        OSError: anything else, a missing bucket among it.
    """
    try:
        yield
    except Exception as error:
        if _kind(url) is None or isinstance(error, MMDataError) or not _is_foreign(error):
            raise
        if type(error).__name__ in _DECISIONS:
            raise
        code = _code(error)
        if creating and code in ("PreconditionFailed", "412"):
            raise FileExistsError(url) from None
        if creating and code in ("ConditionalRequestConflict", "409"):
            raise BlockingIOError(f"{url}: another writer is at the same file") from None
        if isinstance(error, FileNotFoundError | FileExistsError) and code != "NoSuchBucket":
            raise
        raise _plainly(url, error, code, hidden(str(error), options)) from None


def hidden(text: str, options: Options | None = None) -> str:
    """A text without the values of secrets, of the options and of the environment."""
    values = {given for name in _SECRET for given in ((options or {}).get(name), os.environ.get(name)) if given}
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, "***")
    return text


def _kind(url: str) -> _Kind | None:
    scheme = url.partition("://")[0].rpartition("::")[2] if "://" in url else ""
    return next((kind for kind in _KINDS if scheme in kind.schemes), None)


def _resolved(kind: _Kind, options: Options) -> dict[str, str]:
    """A kind's settings, of the options or else of the environment; empty ones are left out."""
    known = {name: options.get(name, os.environ.get(name, "")) for name in kind.names}
    if kind.extra == "s3":
        known["AWS_ENDPOINT_URL"] = known.pop("AWS_ENDPOINT_URL_S3") or known["AWS_ENDPOINT_URL"]
    return {name: value for name, value in known.items() if value}


def _fault(kind: _Kind, found: Options) -> str:
    """Why a kind's settings can't work; "" when they may."""
    name = {"s3": "AWS_ENDPOINT_URL", "gs": "GOOGLE_BASE_URL", "az": "AZURE_STORAGE_ENDPOINT"}[kind.extra]
    allow = {"s3": "AWS_ALLOW_HTTP", "az": "AZURE_ALLOW_HTTP"}.get(kind.extra, "")
    endpoint = found.get(name, "")
    parts = urlsplit(endpoint)
    if endpoint and (parts.scheme not in ("http", "https") or not parts.hostname):
        return f"{name}: expected http(s)://host[:port], not {endpoint!r}"
    if _is_plain(endpoint) and not _is_loopback(parts.hostname or "") and not _is_true(found.get(allow)):
        return f"{name}: {endpoint} would send all in the clear; use https, or set {allow or 'it to this machine'}=true"
    return ""


def _for_s3fs(found: Options) -> dict[str, Any]:
    region = found.get("AWS_REGION") or found.get("AWS_DEFAULT_REGION")
    style = {"addressing_style": "virtual"} if _is_true(found.get("AWS_VIRTUAL_HOSTED_STYLE_REQUEST")) else {}
    encryption = {"AWS_SERVER_SIDE_ENCRYPTION": "ServerSideEncryption", "AWS_SSE_KMS_KEY_ID": "SSEKMSKeyId"}
    retries = {"mode": "standard", "total_max_attempts": _ATTEMPTS}
    return {
        "anon": _is_true(found.get("AWS_SKIP_SIGNATURE")),
        "client_kwargs": {"region_name": region} if region else {},
        "config_kwargs": {"connect_timeout": _CONNECT_S, "read_timeout": _READ_S, "retries": retries}
        | ({"s3": style} if style else {}),
        "s3_additional_kwargs": {called: found[name] for name, called in encryption.items() if name in found},
    }


def _for_gcsfs(found: Options) -> dict[str, Any]:
    token = found.get("GOOGLE_SERVICE_ACCOUNT") or found.get("GOOGLE_APPLICATION_CREDENTIALS")
    if key := found.get("GOOGLE_SERVICE_ACCOUNT_KEY"):
        import json

        return {"token": json.loads(key)}
    if _is_true(found.get("GOOGLE_SKIP_SIGNATURE")):
        return {"token": "anon"}
    return {"token": token} if token else {}


def _for_adlfs(found: Options) -> dict[str, Any]:
    settings: dict[str, Any] = {"anon": _is_true(found.get("AZURE_SKIP_SIGNATURE"))}
    if endpoint := found.get("AZURE_STORAGE_ENDPOINT"):
        pairs = {
            "DefaultEndpointsProtocol": urlsplit(endpoint).scheme,
            "AccountName": found.get("AZURE_STORAGE_ACCOUNT_NAME", ""),
            "AccountKey": found.get("AZURE_STORAGE_ACCOUNT_KEY", ""),
            "BlobEndpoint": endpoint,
        }
        settings["connection_string"] = ";".join(f"{name}={value}" for name, value in pairs.items() if value)
    return settings


def _is_true(value: str | None) -> bool:
    return (value or "").lower() in _TRUE


def _is_plain(endpoint: str | None) -> bool:
    return (endpoint or "").lower().startswith("http://")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _is_foreign(error: Exception) -> bool:
    """Whether an error comes of reaching a server: of the system, or of a library that does it."""
    top = type(error).__module__.partition(".")[0]
    return isinstance(error, OSError | TimeoutError) or top in _LIBRARIES


def _code(error: BaseException) -> str:
    """The server's own code for an error, where its library says it."""
    for each in (error, error.__cause__):
        response = getattr(each, "response", None)
        if isinstance(response, Mapping):
            return str(response.get("Error", {}).get("Code", ""))
        if found := getattr(each, "error_code", None) or getattr(each, "code", None):
            return str(found)
    return ""


def _plainly(url: str, error: Exception, code: str, text: str) -> OSError:
    text = " ".join(_COLOURS.sub("", text).replace("↳", ":").split())
    text = (code or "it gives no reason") if text in ("", "None") else text
    low = f"{type(error).__name__} {code} {text}".lower()
    if "nosuchbucket" in low or "containernotfound" in low:
        return OSError(f"{url}: there is no bucket {urlsplit(url).netloc!r}; make it first, or look at the endpoint")
    text = text if len(text) <= _MOST_CHARS else f"{text[:_MOST_CHARS]}..."
    if any(sign in low for sign in _REFUSED):
        return PermissionError(f"{url}: refused: {text}; look at the credentials, and at what they may do there")
    if any(sign in low for sign in _AWAY):
        return Unreachable(f"{url}: can't be reached: {text}; look at the endpoint and the network")
    return OSError(f"{url}: {text}")
