"""A headless Chromium that draws slices, and pages in it that note what goes wrong."""

import json
import shutil
from urllib.parse import urlsplit

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SOFTWARE_GRAPHICS = [
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
]


class Watched:
    """A page that notes what goes wrong, where requests go, and what was asked and answered."""

    def __init__(self, page):
        self.page = page
        self.errors, self.hosts, self.matches = [], set(), []
        page.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on(
            "request",
            lambda request: self.hosts.add(urlsplit(request.url).hostname or urlsplit(request.url).scheme),
        )
        page.on("response", self._note)

    def _note(self, response):
        if response.url.endswith("/match"):
            self.matches.append((json.loads(response.request.post_data), response))

    def open(self, address):
        """Open the page and wait until its scans are shown."""
        self.page.goto(address)
        self.page.wait_for_selector("body[data-ready=true]", timeout=60_000)

    def answered(self, number):
        """Wait for the answer of that number."""
        self.page.wait_for_selector(f"body[data-answered='{number}']", timeout=20_000)
