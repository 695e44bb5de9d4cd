"""The weights of models: found, checked, fetched, packed and put in place.

Fetching and packing import more, so they have modules of their own: `install` and `pack`.
"""

from histoprompt.models.weights.check import (
    WeightsVerification,
    companion,
    in_use,
    resolve,
    verify,
    verify_all,
)
from histoprompt.models.weights.digests import file_digest, folder_digest
from histoprompt.models.weights.find import WeightsStatus, expected_path, locate

__all__ = [
    "WeightsStatus",
    "WeightsVerification",
    "companion",
    "expected_path",
    "file_digest",
    "folder_digest",
    "in_use",
    "locate",
    "resolve",
    "verify",
    "verify_all",
]
