"""What all tests share: the project's root, hypothesis settings, and strictness about skips."""

from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).parents[1]

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
