"""The measurement of the page finds it."""

import pytest

from loadtest.benchmarks.page_load import page_of


@pytest.mark.parametrize(
    ("url", "page"),
    [
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000/app"),
        ("http://127.0.0.1:3000/", "http://127.0.0.1:3000/app"),
        ("http://127.0.0.1:3000/app", "http://127.0.0.1:3000/app"),
        ("https://example.org/risk/", "https://example.org/risk/app"),
        ("https://localhost:8443/app#a=1", "https://localhost:8443/app#a=1"),
    ],
)
def test_the_service_and_its_page_are_taken(url, page):
    assert page_of(url) == page
