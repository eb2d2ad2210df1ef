"""What all tests share: the option --long, and the count of kernels that QEMU's emulation lost."""

import pytest

from tests.lost_kernels import LOST_KERNELS


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also run the tests that take minutes each")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long: takes minutes; runs only with --long")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without --long the long tests are deselected, not skipped: nothing that runs is ever passed over."""
    if config.getoption("--long"):
        return
    long = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in long]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for why in LOST_KERNELS:
        terminalreporter.write_line(f"lost to QEMU and run once more: {why}")
