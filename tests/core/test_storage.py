"""The settings of object storage: one set of names for both libraries, no secret shown, no unsafe commit."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from mmdata.core import storage
from mmdata.core.storage import check_place, delta_options, fsspec_settings, hidden, parse_options, told
from mmdata.errors import ConfigError, MissingExtra, StoreError, Unreachable
from mmdata.source.files import Files as FilesSource
from mmdata.source.place import place, with_options
from mmdata.store.files import Files

KEYS = {"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "s3cr3t", "AWS_SESSION_TOKEN": "t0ken"}


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings but those of the test."""
    for name in (*storage.NAMES, "AWS_S3_ALLOW_UNSAFE_RENAME"):
        monkeypatch.delenv(name, raising=False)


def test_both_libraries_are_given_the_same_of_options_and_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of the environment")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    options = {**KEYS, "AWS_ENDPOINT_URL": "https://minio.example"}
    files, log = fsspec_settings("s3://b/x", options), delta_options("s3://b/x", options)
    assert (files["key"], files["secret"], files["token"]) == ("me", "s3cr3t", "t0ken")
    assert {name: log[name] for name in KEYS} == KEYS
    assert files["endpoint_url"] == log["AWS_ENDPOINT_URL"] == "https://minio.example"
    assert files["client_kwargs"] == {"region_name": "eu-west-1"}
    assert log["AWS_REGION"] == "eu-west-1"


def test_commits_are_conditional_puts_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_S3_ALLOW_UNSAFE_RENAME", "true")
    log = delta_options("s3://b/x")
    assert log["aws_conditional_put"] == "etag"
    assert log["AWS_S3_ALLOW_UNSAFE_RENAME"] == "false"
    with pytest.raises(ConfigError, match="commits need conditional puts"):
        delta_options("s3://b/x", {"AWS_S3_ALLOW_UNSAFE_RENAME": "true"})


@pytest.mark.parametrize("url", ["data/store", "/data/store", "file:///data", "memory://x"])
def test_other_places_take_no_settings(url: str) -> None:
    assert fsspec_settings(url, KEYS) == delta_options(url, KEYS) == {}


@pytest.mark.parametrize("url", ["s3:/bucket/store", "gs:/bucket/store", "abfs:/container/store"])
def test_a_url_with_one_slash_is_no_folder(url: str) -> None:
    with pytest.raises(ConfigError, match=url.replace(":/", "://")):
        check_place(url)


@pytest.mark.parametrize(
    ("endpoint", "is_allowed"),
    [
        ("http://127.0.0.1:9000", True),
        ("http://localhost:9000", True),
        ("http://[::1]:9000", True),
        ("https://10.0.0.1", True),
        ("http://10.0.0.1:9000", False),
        ("http://localhost.example", False),
        ("127.0.0.1:9000", False),
        ("ftp://127.0.0.1", False),
    ],
)
def test_credentials_go_in_the_clear_to_this_machine_only(endpoint: str, is_allowed: bool) -> None:
    options = {**KEYS, "AWS_ENDPOINT_URL": endpoint}
    if not is_allowed:
        with pytest.raises(ConfigError, match="AWS_ENDPOINT_URL: "):
            fsspec_settings("s3://b", options)
        return
    assert delta_options("s3://b", options).get("AWS_ALLOW_HTTP") == ("true" if endpoint[:5] == "http:" else None)


def test_other_plain_endpoints_are_taken_when_asked_for() -> None:
    options = {"AWS_ENDPOINT_URL": "http://minio:9000", "AWS_ALLOW_HTTP": "true"}
    assert delta_options("s3://b", options)["AWS_ALLOW_HTTP"] == "true"
    assert fsspec_settings("s3://b", options)["endpoint_url"] == "http://minio:9000"


def test_options_of_a_command_line_are_checked_without_showing_values() -> None:
    assert parse_options(["AWS_REGION=eu=1", "AWS_SESSION_TOKEN="]) == {"AWS_REGION": "eu=1", "AWS_SESSION_TOKEN": ""}
    with pytest.raises(ConfigError) as caught:
        parse_options(["AWS_REGION", "AWS_SECRET_KEY=s3cr3t"])
    assert "'AWS_REGION' has no '='" in caught.value.faults[0]
    assert caught.value.faults[1].startswith("no storage option 'AWS_SECRET_KEY', did you mean 'AWS_")
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(("url", "extra"), [("s3://b/x", "s3"), ("gs://b", "gs"), ("abfss://c/x", "az")])
def test_a_missing_package_names_its_extra(url: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=rf"pip install 'mmdata\[{extra}\]'"):
        check_place(url)


def test_nothing_shows_secrets_nor_takes_those_of_the_environment_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "0f the environment")
    source: Any = with_options(FilesSource("s3://b/x"), KEYS)
    files = Files.at("s3://b/x", {"AWS_SESSION_TOKEN": "t0ken"})
    where = place("s3://b/x", storage_options=KEYS)
    assert source.storage_options == KEYS
    for each in (source, files, where):
        assert "s3cr3t" not in repr(each)
        assert "t0ken" not in repr(each)
        assert pickle.loads(pickle.dumps(each)) == each
    assert files._place  # opened
    assert b"0f the" not in pickle.dumps(files)
    assert hidden("a s3cr3t and 0f the environment", KEYS) == "a *** and ***"


def test_a_sources_own_options_win() -> None:
    source = FilesSource("s3://b/x", storage_options={"AWS_REGION": "own"})
    found: Any = with_options(source, {"AWS_REGION": "given", "AWS_ACCESS_KEY_ID": "me"})
    assert found.storage_options == {"AWS_REGION": "own", "AWS_ACCESS_KEY_ID": "me"}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError("Generic S3 error: 403 Forbidden: AccessDenied"), PermissionError),
        (OSError("\x1b[31m↳\x1b[0m error sending request: tcp connect error"), Unreachable),
        (TimeoutError("read timed out"), Unreachable),
        (FileNotFoundError("x"), FileNotFoundError),
        (FileExistsError("x"), FileExistsError),
        (StoreError("ours"), StoreError),
        (KeyError("a bug of ours"), KeyError),
        (OSError("NoSuchBucket"), OSError),
    ],
)
def test_errors_say_what_to_do(error: Exception, kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught, told("s3://b/x"):
        raise error
    assert type(caught.value) is kind
    assert "\x1b" not in str(caught.value)


def test_errors_of_other_places_are_left_alone() -> None:
    error = OSError("disk full")
    with pytest.raises(OSError, match="disk full") as caught, told("/data/store"):
        raise error
    assert caught.value is error
