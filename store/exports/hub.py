"""Sending an export to a hub: the folder as it is, in one commit, so that others load what was checked here."""

import logging
import os
from pathlib import Path
from typing import Any

from curate.errors import ConfigurationError, CurateError, MissingExtraError, RefusedRequestError, ServiceError
from curate.store.exports.manifest import read_export_manifest

ADDRESS_VARIABLE = "HF_ENDPOINT"
TOKEN_VARIABLE = "HF_TOKEN"


def push_export(folder: Path, repository: str, *, private: bool) -> bool:
    """Make `repository` (owner/name) on the hub hold what `folder` holds; return whether anything was sent.

    The address comes from HF_ENDPOINT, the token from HF_TOKEN, and neither is kept. Files that the hub has are not
    sent again; all others arrive in one commit or not at all. Nothing is deleted there, for shards never change.

    Raises:
        MissingExtraError: huggingface_hub is not installed.
        ConfigurationError: there is no token, the export is none, or the hub is switched off by HF_HUB_OFFLINE.
        RefusedRequestError: the hub says no.
        ServiceError: the hub cannot be reached or fails.
    """
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.utils.tqdm import disable_progress_bars
    except ImportError as error:
        raise MissingExtraError("sending an export to a hub", "hub") from error
    manifest = read_export_manifest(folder)
    if manifest is None:
        raise ConfigurationError(f"{folder.name} is not an export", hint="curate export")
    token = os.environ.get(TOKEN_VARIABLE)
    if not token:
        raise ConfigurationError(
            f"there is no token for the hub in {TOKEN_VARIABLE}", hint=f"export {TOKEN_VARIABLE}=…"
        )
    disable_progress_bars()  # they would go to standard error off a terminal, too; curate has its own
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    api = HfApi(endpoint=os.environ.get(ADDRESS_VARIABLE) or None, token=token)
    message = f"{manifest.snapshot} {manifest.newest.number}: {manifest.newest.content_hash}"
    try:
        return _send(api, folder, repository, private, message)
    except Exception as error:  # the client raises what its own libraries raise
        raise _translated(error, repository) from error


def _send(api: Any, folder: Path, repository: str, private: bool, message: str) -> bool:
    api.create_repo(repository, repo_type="dataset", private=private, exist_ok=True)
    before = api.repo_info(repository, repo_type="dataset").sha
    sent = api.upload_folder(
        repo_id=repository, repo_type="dataset", folder_path=folder, commit_message=message, ignore_patterns=[".*"]
    )
    return bool(sent.oid != before)


def _translated(error: Exception, repository: str) -> CurateError:
    """Say in curate's words what the client met; it raises errors of several libraries."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    unchanged = "the export lies in its folder, whole"
    if isinstance(error, HFValidationError):
        return ConfigurationError(f"the hub takes no data set named {repository!r}", hint="change [export] hub")
    if isinstance(error, OfflineModeIsEnabled):
        return ConfigurationError("the hub is switched off by HF_HUB_OFFLINE", hint="unset HF_HUB_OFFLINE")
    if isinstance(error, HfHubHTTPError) and error.response is not None and 400 <= error.response.status_code < 500:
        what = str(error).strip().splitlines()[-1]
        return RefusedRequestError(
            f"the hub refuses {repository}: {error.response.status_code} {what}",
            unchanged=unchanged,
            hint=f"does {TOKEN_VARIABLE} belong to somebody who may write there?",
        )
    first = str(error).strip().partition("\n")[0]
    return ServiceError(f"the hub could not be reached or failed: {first}", unchanged=unchanged, hint="try again later")
