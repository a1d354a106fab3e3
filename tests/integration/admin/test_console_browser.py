"""The console in headless Chromium: what a person does, some of it by keyboard only."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from app.jobs.batches import Batches
from app.jobs.intake import IntakeOptions
from app.jobs.selection import item_of
from app.jobs.state import JobState
from tests.integration.admin.conftest import TOKENS, AdminStand
from tests.integration.admin.test_admin_api import dead_job, queued_job

pytestmark = pytest.mark.real

#: A page that is being replaced by the next one.
_MOVING = (NoSuchElementException, StaleElementReferenceException)

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--window-size=1280,1000"),
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        message = "chromium and chromedriver are not installed (.ci/test-packages)"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    options = webdriver.ChromeOptions()
    options.binary_location = str(chromium)
    for flag in (*_FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield started
    started.quit()


def logged(browser: webdriver.Chrome) -> list[dict[str, str]]:
    """What the browser's own log got since the last look."""
    entries: list[dict[str, str]] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    return entries


@pytest.fixture
def page(browser: webdriver.Chrome, stand: AdminStand) -> Iterator[webdriver.Chrome]:
    """A browser that is logged in and shows the overview; nothing may be blocked or fail."""
    browser.delete_all_cookies()
    browser.get(f"{stand.url}/console")
    logged(browser)
    field = browser.find_element(By.ID, "token")
    field.send_keys(TOKENS["admin"] + Keys.ENTER)
    heading(browser, "Overview")
    yield browser
    assert [line for line in logged(browser) if "favicon" not in line["message"]] == []


def heading(browser: webdriver.Chrome, text: str) -> None:
    WebDriverWait(browser, 20, ignored_exceptions=_MOVING).until(
        lambda b: b.find_element(By.TAG_NAME, "h1").text.startswith(text),
        f"no page with the heading {text}",
    )


def focused(browser: webdriver.Chrome) -> WebElement:
    return browser.switch_to.active_element


def tab_to(browser: webdriver.Chrome, name: str) -> None:
    """Press Tab until something with this accessible name has the focus."""
    for _ in range(200):
        focused(browser).send_keys(Keys.TAB)
        if focused(browser).accessible_name == name:
            return
    pytest.fail(f"the keyboard does not lead to {name}")


def test_jobs_are_listed_opened_and_followed_live(
    page: webdriver.Chrome, stand: AdminStand, tmp_path: Path
) -> None:
    job = queued_job(stand, "browser job", "team/browser")
    page.find_element(By.LINK_TEXT, "Jobs").click()
    heading(page, "Jobs")
    page.find_element(By.CSS_SELECTOR, f'a[href="/console/jobs/{job.id}"]').click()
    heading(page, "Job local/team/browser")
    state = page.find_element(By.CSS_SELECTOR, "dd[role=status]")
    assert state.text.startswith("queued")
    stand.engine.cancel(job.id)
    WebDriverWait(page, 20, ignored_exceptions=_MOVING).until(
        lambda b: b.find_element(By.CSS_SELECTOR, "dd[role=status]").text.startswith("cancelled"),
        "the page did not follow the job",
    )
    picture = tmp_path / "job.png"
    assert page.save_screenshot(str(picture))
    assert picture.stat().st_size > 5000


def test_a_dead_letter_is_requeued_by_keyboard_alone(
    page: webdriver.Chrome, stand: AdminStand
) -> None:
    job = dead_job(stand, "browser dead")
    tab_to(page, "Dead letters")
    focused(page).send_keys(Keys.ENTER)
    heading(page, "Dead letters")
    focused(page).send_keys(Keys.TAB)
    assert focused(page).accessible_name == "Skip to content"
    focused(page).send_keys(Keys.ENTER)
    tab_to(page, f"Requeue {job.id}")
    outline = focused(page).value_of_css_property("outline-style")
    assert outline == "solid"
    focused(page).send_keys(Keys.ENTER)
    WebDriverWait(page, 20, ignored_exceptions=_MOVING).until(
        lambda b: (
            "queued again" in b.find_element(By.CSS_SELECTOR, ".message").text
            if b.find_elements(By.CSS_SELECTOR, ".message")
            else False
        )
    )
    found = stand.engine.ledger.get(job.id)
    assert found is not None
    assert found.state is JobState.QUEUED


def test_a_batch_is_paused(page: webdriver.Chrome, stand: AdminStand) -> None:
    job = queued_job(stand, "browser batch", "team/browser-batch")
    batches = Batches(stand.redis)
    batch = batches.create([item_of(job)], IntakeOptions(), actor="me", title="browser batch")
    page.find_element(By.LINK_TEXT, "Batches").click()
    heading(page, "Batches")
    page.find_element(By.ID, f"pause-{batch.id}").click()
    WebDriverWait(page, 20, ignored_exceptions=_MOVING).until(
        lambda b: b.find_elements(By.ID, f"resume-{batch.id}")
    )
    progress = batches.get(batch.id)
    assert progress is not None
    assert progress.batch.state == "paused"


@pytest.mark.parametrize("path", ["", "/jobs", "/dead", "/batches"])
def test_pages_are_marked_up_for_assistive_technology(
    page: webdriver.Chrome, stand: AdminStand, path: str
) -> None:
    page.get(f"{stand.url}/console{path}")
    assert page.find_element(By.TAG_NAME, "html").get_attribute("lang") == "en"
    assert [e.aria_role for e in page.find_elements(By.TAG_NAME, "main")] == ["main"]
    assert len(page.find_elements(By.TAG_NAME, "h1")) == 1
    assert len(page.find_elements(By.CSS_SELECTOR, "nav [aria-current=page]")) == 1
    selector = "button, a, select, input:not([type=hidden]), svg, progress"
    unnamed = [
        one.get_attribute("outerHTML")
        for one in page.find_elements(By.CSS_SELECTOR, selector)[:60]
        if one.is_displayed() and not one.accessible_name
    ]
    assert unnamed == []
    assert page.find_elements(By.CSS_SELECTOR, "thead th:not([scope=col])") == []
