"""The Singer SDK's standard tests of a tap, all of them, against the sandbox."""

from __future__ import annotations

import pytest
from singer_sdk.testing import SuiteConfig, get_tap_test_class
from support import CONTACTS, shared_sandbox, tap_config

from tap_d365.tap import TapD365

# The tests are made from the catalog while pytest collects them, so that the sandbox has to run by then.
_Standard = get_tap_test_class(
    TapD365,
    # Named, the streams of segments are selected.
    config=tap_config(shared_sandbox(), segments_api="outbound"),
    suite_config=SuiteConfig(max_records_limit=CONTACTS),
)


# Some columns (incomes, coordinates) are empty for all seeded contacts, as they are for most retailers.
@pytest.mark.filterwarnings("ignore:No records were available to test")
class TestTapD365(_Standard):
    """All of them."""
