"""Files on the Hugging Face hub: their address, their size and hash, and who may have them.

`huggingface_hub` knows the token (``HF_TOKEN`` or its own login), the mirror (``HF_ENDPOINT``) and
the offline mode (``HF_HUB_OFFLINE``). The bytes are fetched like any other file's, as its own
transfer can neither be cancelled nor continued by a later run.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

from histoprompt.core.errors import WeightsError
from histoprompt.models.card import HubFile, WeightsSpec
from histoprompt.models.weights.find import expected_path, size_text
from histoprompt.models.weights.transfer import DownloadSource

_SHA256 = re.compile(r"[0-9a-f]{64}")


def hub_source(spec: WeightsSpec, hub: HubFile) -> DownloadSource:
    """Where to fetch a file of the hub.

    Raises
    ------
    WeightsError
        If the hub is not reached, has no such file, wants a token or a request for access, or
        offers another file than the one published.
    """
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    url = hf_hub_url(hub.repo, hub.filename, revision=hub.revision)
    found = _metadata(url, spec, hub)
    etag = str(found.etag or "")
    digest = f"sha256:{etag}" if _SHA256.fullmatch(etag) else None
    _check_digest(spec, hub, digest)
    return DownloadSource(
        url,
        spec.filename,
        hub.page,
        spec.n_bytes or found.size,
        spec.digest or digest,
        build_hf_headers(library_name="histoprompt"),
    )


def _metadata(url: str, spec: WeightsSpec, hub: HubFile) -> Any:
    from huggingface_hub import get_hf_file_metadata
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    # Its first base is the error of the HTTP library that this version of the hub's client uses.
    trouble: Any = (HfHubHTTPError.__bases__[0], OSError, ValueError)
    try:
        return get_hf_file_metadata(url)
    except OfflineModeIsEnabled as error:
        raise WeightsError(
            f"{spec.filename} is not fetched, as HF_HUB_OFFLINE is set. Unset it, or bring the "
            f"file from {hub.page} and put it at {expected_path(spec)}."
        ) from error
    except trouble as error:
        _explain(error, spec, hub)


def _explain(error: Exception, spec: WeightsSpec, hub: HubFile) -> NoReturn:
    from huggingface_hub import get_token
    from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, RevisionNotFoundError

    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, GatedRepoError) or status in {401, 403}:
        raise WeightsError(_gate(hub, get_token() is not None)) from error
    if isinstance(error, (EntryNotFoundError, RevisionNotFoundError)) or status == 404:
        raise WeightsError(
            f"{hub.repo} has no {hub.filename} at revision {hub.revision}. Look at {hub.page}; a "
            "file fetched by hand can be imported."
        ) from error
    answer = f"answers HTTP {status}" if status else "is not reached"
    raise WeightsError(
        f"The Hugging Face hub {answer}, so {spec.filename}{size_text(spec)} of {hub.repo} was not "
        f"fetched. Check the connection, the proxy (HTTPS_PROXY) or the mirror (HF_ENDPOINT); or "
        f"bring the file from {hub.page} and put it at {expected_path(spec)}."
    ) from error


def _gate(hub: HubFile, has_token: bool) -> str:
    if not has_token:
        return (
            f"{hub.repo} is behind a gate: visit {hub.page}, sign in and accept its conditions; "
            "then set HF_TOKEN to a token of your account, or run `hf auth login`, and try again."
        )
    return (
        f"{hub.repo} does not let your account in: visit {hub.page} and ask for access with the "
        "account of your token (an answer can take days), or check that the token may read it."
    )


def _check_digest(spec: WeightsSpec, hub: HubFile, digest: str | None) -> None:
    """Nobody should wait for gigabytes that will be refused."""
    published = spec.digest or ""
    if digest is not None and published.startswith("sha256:") and published != digest:
        raise WeightsError(
            f"The hub offers another {hub.filename} of {hub.repo} than the published one: its "
            f"{digest.replace(':', ' is ')}, published is {published.partition(':')[2]}. It was "
            f"not fetched. See {hub.page}."
        )
