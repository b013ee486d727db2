"""The vendor's package, imported without its side effects. It has no types."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import tempfile
import threading
import warnings
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from bookcast.errors import StartupError

logger = logging.getLogger(__name__)


def require_futu() -> None:
    """Check that the vendor's package is installed, without importing it.

    Raises:
        StartupError: when it isn't.
    """
    if find_spec("futu") is None:
        raise StartupError(
            "FEED=futu needs the package futu-api; install it with: pip install futu-api"
        )


_loading = threading.Lock()


def load_futu() -> Any:
    """Import the vendor's package without its side effects. Takes 0.4 s the first time.

    Call it off the main thread, where the package would install a SIGINT handler that ends the
    process on the spot.
    """
    with _loading:
        if "futu" not in sys.modules:
            # setDaemon() and the like, which must not become errors where warnings are.
            warnings.filterwarnings("ignore", module=r"(.*[/\\])?futu[./\\]")
            _load_vendor_log()
        futu = importlib.import_module("futu")
        futu.SysConfig.set_all_thread_daemon(all_daemon=True)
        return futu


def _load_vendor_log() -> None:
    """Import the one module of the vendor's that writes files, and take its files from it.

    It opens a log below the home folder as soon as it is imported, and fails without one. So it is
    loaded ahead of its package, with the home folder elsewhere for the millisecond that it takes.
    """
    name = "futu.common.ft_logger"
    package = find_spec("futu")
    assert package is not None
    assert package.origin is not None
    spec = spec_from_file_location(name, Path(package.origin).parent / "common" / "ft_logger.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = module_from_spec(spec)
    sys.modules[name] = module
    variable = "appdata" if os.name == "nt" else "HOME"
    home = os.environ.get(variable)
    with tempfile.TemporaryDirectory() as folder:
        os.environ[variable] = folder
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        finally:
            if home is None:
                del os.environ[variable]
            else:
                os.environ[variable] = home
        log = module.logger
        log.file_logger.removeHandler(log.fileHandler)
        log.fileHandler.close()
    log.file_logger.addHandler(_Forward())
    # Below its levels, the vendor formats nothing: two lines a push would be 40% of the feed's CPU.
    log.file_level = logging.WARNING
    log.enable_console_log(enable=False)
    log.console_level = logging.CRITICAL + 1


class _Forward(logging.Handler):
    """Passes the vendor's log on as details: what an operator should know, this module says."""

    def emit(self, record: logging.LogRecord) -> None:
        logger.debug("%s", record.getMessage(), exc_info=record.exc_info)
