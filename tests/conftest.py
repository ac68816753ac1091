"""What all tests share: the project's root, hypothesis settings, and strictness about skips."""

import os
import shutil
from pathlib import Path

import hypothesis
import pytest
from filelock import FileLock

import workspace

ROOT = Path(__file__).parents[1]

# Tests start Snakemake hundreds of times; without byte code each start compiles every module.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Two busy cores make single examples slow now and then; that is no failure.
hypothesis.settings.register_profile("langarith", deadline=None, max_examples=60)
hypothesis.settings.load_profile("langarith")


def pytest_addoption(parser):
    parser.addoption("--strict-skips", action="store_true", help="a skipped test fails the run")


def pytest_sessionfinish(session, exitstatus):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and session.config.getoption("--strict-skips") and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def base(tmp_path_factory) -> Path:
    """A tiny random XLM-R on disk; see helpers.py."""
    import helpers  # torch and transformers take seconds: only tests that need them pay

    return helpers.make_base(tmp_path_factory.mktemp("base") / "xlm-r")


@pytest.fixture(scope="session")
def tiny_tokenizer():
    """The tokenizer of `base`."""
    import helpers

    return helpers.make_tokenizer()


@pytest.fixture(scope="session")
def project(root, tmp_path_factory) -> Path:
    """A copy of the project in which the nano study has run to its end, once for all workers."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # the workers' own folders lie in it
    finished = folder / "nano"
    with FileLock(folder / "nano.lock"):
        if not finished.exists():
            project = workspace.copy_project(root, folder / "nano-running")
            workspace.run(project, *workspace.NANO)
            project.rename(finished)
    return Path(
        shutil.copytree(finished, tmp_path_factory.mktemp("nano") / "project", symlinks=True)
    )


@pytest.fixture
def copy(project, tmp_path) -> Path:
    """A copy of it for one test's edits; times are kept, so nothing in it is stale."""
    return Path(shutil.copytree(project, tmp_path / "project", symlinks=True))


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium, the system's (`apt-get install chromium`)."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no chromium on PATH; apt-get install chromium")
    with sync_playwright() as playwright:
        # a container has no sandbox for root
        options = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=path, args=options)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """Opens a local file as a reader does; a request to a network, or an error, fails the test."""
    problems: list[str] = []
    context = browser.new_context()
    context.set_default_timeout(60_000)

    def refuse(route):
        problems.append(f"asked for {route.request.url}")
        route.abort()

    context.route(lambda url: not url.startswith(("file:", "data:")), refuse)

    def opened(path: Path, width: int = 1100, height: int = 800):
        page = context.new_page()
        page.set_viewport_size({"width": width, "height": height})
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "console",
            lambda output: problems.append(output.text) if output.type == "error" else None,
        )
        page.goto(path.resolve().as_uri())
        return page

    yield opened
    context.close()
    assert problems == []


@pytest.fixture
def little_results(tmp_path) -> tuple[list[Path], list[Path]]:
    """`selected.json` and `task.json` files of a finished zero-shot experiment; see made_up.py."""
    import made_up

    return made_up.write_results(tmp_path)
