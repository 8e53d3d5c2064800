"""The Chromium that draws the page: the system's, started so that it asks nobody for anything."""

import os
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--no-first-run", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync")


def executable() -> str | None:
    """Where it is."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


def missing() -> str | None:
    """Why the page cannot be opened here, or None."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "Playwright is not installed: make installs it from requirements.lock"
    return None if executable() else "there is no Chromium: apt-get install chromium"


def launch(playwright: "Playwright") -> "Browser":
    """Start it. As root, in a container, it runs only without its sandbox."""
    return playwright.chromium.launch(executable_path=executable(), args=[*FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])])
