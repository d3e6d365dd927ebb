"""Says in one line what a build of ptbert lacks on this machine. Runs on any Python 3."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig


def missing():
    """Returns what is missing and how to get it, or None."""
    version = "%d.%d" % sys.version_info[:2]
    if not (3, 10) <= sys.version_info[:2] <= (3, 13):
        return "Python must be 3.10 to 3.13, but is %s: choose another with `make PYTHON=...`." % version
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        return "Python's venv module is missing: install it (Debian: apt-get install python3-venv)."
    header = os.path.join(sysconfig.get_path("include"), "Python.h")
    if not os.path.exists(header):
        return "The Python headers are missing (%s): install them (Debian: apt-get install python3-dev)." % header
    compiler = os.environ.get("CXX", "c++")
    if shutil.which(compiler) is None:
        return "The C++ compiler `%s` is missing: install one (Debian: apt-get install g++)." % compiler
    macros = subprocess.run([compiler, "-dM", "-E", "-x", "c++", os.devnull], capture_output=True, text=True).stdout
    gcc = re.search(r"#define __GNUC__ (\d+)", macros)
    if gcc and "__clang__" not in macros and int(gcc.group(1)) < 12:
        return "The C++ compiler must be g++ 12 or newer, but `%s` is %s." % (compiler, gcc.group(1))
    return None


if __name__ == "__main__":
    problem = missing()
    if problem:
        sys.exit(problem)
