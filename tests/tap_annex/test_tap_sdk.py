"""The Singer SDK's standard tests of a tap, all of them, against the sandbox."""

from __future__ import annotations

import pytest
from singer_sdk.testing import SuiteConfig, get_tap_test_class
from support import shared_sandbox

from tap_annex.tap import TapAnnex

# The tests are made from the catalog while pytest collects them, so that the sandbox has to run by then.
_INFO = shared_sandbox().info
_CONFIG = {**_INFO["annex"], "ca_bundle": _INFO["ca_bundle"]}


def _all_streams():
    """The catalog, with the stream that is off by default."""
    catalog = TapAnnex(config=dict(_CONFIG)).catalog_dict
    for entry in catalog["streams"]:
        next(each for each in entry["metadata"] if not each["breadcrumb"])["metadata"]["selected"] = True
    return catalog


_Standard = get_tap_test_class(
    TapAnnex,
    config=_CONFIG,
    catalog=_all_streams(),
    # Snapshots are written by the members of segments, which the suite stops at so many records.
    suite_config=SuiteConfig(max_records_limit=1000),
)


# Some columns (dates of opting out, spending) are empty for all seeded members.
@pytest.mark.filterwarnings("ignore:No records were available to test")
class TestTapAnnex(_Standard):
    """All of them."""
