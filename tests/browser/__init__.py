"""The feature browser in a real one. A package, so that its Chromium closes when its last test is done and not with the session."""

import pytest

pytest.register_assert_rewrite("tests.browser.visits")
