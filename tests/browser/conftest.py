"""A browser that is installed here, driven by playwright, with no network."""

import os
import shutil

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def chromium():
    """The browser, without a window."""
    playwright = pytest.importorskip("playwright.sync_api")
    path = os.environ.get("LATENTBENCH_TEST_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed, and LATENTBENCH_TEST_BROWSER names none")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Watched:
    """A page in the browser, and all that it did that a report must not: requests, messages on the console, errors, violations of its policy."""

    def __init__(self, browser, file, scheme="light", width=1400):
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.requests, self.messages = [], []
        self.page = self.context.new_page()
        self.page.route("**/*", self._route)
        self.page.on("console", lambda message: self.messages.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.add_init_script(
            "window.violations = []; addEventListener('securitypolicyviolation', (event) => window.violations.push(event.violatedDirective))"
        )
        self.page.goto(file.as_uri())
        self.page.wait_for_function("document.querySelectorAll('.plot[data-drawn]').length === document.querySelectorAll('.plot').length")

    def _route(self, route):
        if route.request.url.startswith(("file:", "data:")):
            route.continue_()
        else:
            self.requests.append(route.request.url)
            route.abort()

    @property
    def misdeeds(self):
        """Everything that must not have happened; `pwned` is what hostile texts set."""
        return [
            *self.requests,
            *self.messages,
            *self.page.evaluate("window.violations"),
            *(["pwned"] if self.page.evaluate("'pwned' in window") else []),
        ]


@pytest.fixture
def watched(chromium):
    """Open files in the browser."""
    opened = []

    def open_(file, **how):
        opened.append(Watched(chromium, file, **how))
        return opened[-1]

    yield open_
    for one in opened:
        one.context.close()
