"""Files that people upload."""

from io import BytesIO

import pytest

from .conftest import BASE, Client

TEXT = b"only a note\n"


@pytest.mark.parametrize("given", [None, "text/plain", "text/plain;charset=utf-8"])
async def test_what_a_page_of_elsewhere_can_send_unasked_is_refused(
    client: Client, given: str | None
) -> None:
    """Source: https://fetch.spec.whatwg.org/#cors-safelisted-request-header; none is one, too."""
    headers, skip = ({"Content-Type": given}, ()) if given else ({}, ("Content-Type",))
    async with client.post(
        f"{BASE}/api/files?name=note.txt",
        data=BytesIO(TEXT),
        headers=headers,
        skip_auto_headers=skip,
    ) as response:
        assert response.status == 415


async def test_a_text_that_is_sent_as_bytes_is_text(client: Client) -> None:
    """As the page sends one, which may not say what it is."""
    headers = {"Content-Type": "application/octet-stream"}
    path = f"{BASE}/api/files?name=note.txt"
    async with client.post(path, data=BytesIO(TEXT), headers=headers) as response:
        assert response.status == 200, await response.text()
        kept = await response.json()
    assert (kept["name"], kept["type"], kept["size_bytes"]) == ("note.txt", "text/plain", len(TEXT))
    async with client.get(f"{BASE}/{kept['url']}") as response:
        assert await response.read() == TEXT
