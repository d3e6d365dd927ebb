"""Says in one line what a build of ptbert lacks on this machine."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path


def missing():
    """Returns what is missing and how to get it, or None."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if not (3, 10) <= sys.version_info[:2] <= (3, 13):
        return (
            f"Python must be 3.10 to 3.13, but is {version}: choose another with `make PYTHON=...`."
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        return "Python's venv module is missing: install it (Debian: apt-get install python3-venv)."
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "The Python headers are missing: install them (Debian: apt-get install python3-dev)."
    compiler = os.environ.get("CXX", "c++")
    if shutil.which(compiler) is None:
        return f"There is no C++ compiler `{compiler}`: install one (Debian: apt-get install g++)."
    macros = subprocess.run(
        [compiler, "-dM", "-E", "-x", "c++", os.devnull], capture_output=True, text=True
    ).stdout
    gcc = re.search(r"#define __GNUC__ (\d+)", macros)
    if gcc and "__clang__" not in macros and int(gcc[1]) < 12:
        return f"The C++ compiler must be g++ 12 or newer, but `{compiler}` is {gcc[1]}."
    return None


if __name__ == "__main__":
    sys.exit(missing())
