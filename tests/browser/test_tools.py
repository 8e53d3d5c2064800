"""What checks the page's scripts, and what the page is put together from."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from replication.browser import site

HERE = Path(__file__).parent
BAD = """"use strict";
/** @param {HTMLElement} one */
function bad(one) {
  one.innerHTML = "x";
  one["innerHTML"] = "x";
  one.outerHTML = "x";
  Object.assign(one, { innerHTML: "x" });
  one.insertAdjacentHTML("beforeend", "x");
  document.write("x");
  eval("1");
  new Function("1");
  one.setAttribute("style", "x");
  one.setAttribute("onclick", "x");
  one.onclick = "x";
  make("div", { style: "x" });
  make("div", { onclick: "x" });
  make("iframe");
  document.createRange().createContextualFragment("x");
  new DOMParser();
  one.srcdoc = "x";
  document.execCommand("insertHTML", false, "x");
  setTimeout("x", 1);
  fetch("x");
  location.href = "javascript:x";
}
"""
FIRST, LAST = 4, 24  # lines of it that are bad


def test_the_lock_of_the_checks_names_no_host_and_pins_everything():
    text = (HERE / "package-lock.json").read_text()
    assert "://" not in text and '"resolved"' not in text
    assert all(re.fullmatch(r"[\d.]+", version) for version in json.loads((HERE / "package.json").read_text())["devDependencies"].values())


def test_every_script_and_style_of_the_page_is_delivered_once():
    assert sorted(path.stem for path in site.FOLDER.glob("*.js")) == sorted({*site.SCRIPTS, "worker"})
    assert len(set(site.SCRIPTS)) == len(site.SCRIPTS) and sorted(path.stem for path in site.FOLDER.glob("*.css")) == sorted(site.STYLES)
    names = [name for path in site.FOLDER.glob("*.js") if path.stem != "worker" for name in re.findall(r"^(?:async )?(?:function|const|let|class) (\w+)", path.read_text(), re.MULTILINE)]
    assert sorted(names) == sorted(set(names))  # one scope


def test_the_page_has_a_strict_policy_and_nothing_inline():
    page = (site.FOLDER / "index.html").read_text()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)[1]
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy and "*" not in policy and "http" not in policy
    assert page.index("Content-Security-Policy") < page.index("<link") < page.index("<script")
    assert re.findall(r"<script[^>]*>[^<]+", page) == [] and "<style" not in page and " on" not in re.sub(r"<noscript>.*?</noscript>", "", page)
    assert not re.search(r"url\(|@import", "".join((site.FOLDER / f"{name}.css").read_text() for name in site.STYLES))


@pytest.mark.browser_slow
def test_the_linter_finds_every_way_to_turn_text_into_markup_or_code(tmp_path):
    if not (HERE / "node_modules").is_dir() or not shutil.which("node"):
        (pytest.fail if os.environ.get("BROWSER_TESTS") == "required" else pytest.skip)("eslint is not installed: make test-browser installs it")
    for name in ("node_modules", "eslint.config.js", "package.json"):
        (tmp_path / name).symlink_to(HERE / name)
    (tmp_path / "bad.js").write_text(BAD)
    done = subprocess.run([tmp_path / "node_modules/.bin/eslint", "--format", "json", "bad.js"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    found = {message["line"] for message in json.loads(done.stdout)[0]["messages"] if message["ruleId"] != "no-unused-vars"}
    assert found >= set(range(FIRST, LAST + 1))
