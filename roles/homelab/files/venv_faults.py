# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints what a virtual environment lacks of a list of pinned packages; exit status 1 when there is something.

Run by the environment's own Python with the path of the list as argument. Looked at are the version of each package and
the size of each file that its RECORD names (packaging.python.org, "Recording installed projects"); nothing is imported.
"""

import importlib.metadata
import os
import re
import sys

PINNED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s\\;]+)(.*)")


def package_fault(name, version, optional):
    """The first fault of one package, or None. ``optional``: its line has a condition, so that another one may hold."""
    try:
        package = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None if optional else "{} is not installed".format(name)
    if package.version != version and not optional:
        return "{} is {} instead of {}".format(name, package.version, version)
    if package.files is None:
        return "{} has no list of its files".format(name)
    for file in package.files:
        if file.name.endswith(".pyc"):
            continue
        try:
            size = os.stat(str(package.locate_file(file))).st_size
        except OSError:
            return "{} lacks {}".format(name, file)
        if file.size is not None and size != file.size:
            return "{} has another {}".format(name, file)
    return None


def main(path):
    with open(path, encoding="utf-8") as file:
        pinned = [match.groups() for match in map(PINNED.match, file) if match]
    found = [fault for fault in (package_fault(name, version, ";" in rest) for name, version, rest in pinned) if fault]
    print("; ".join(found if pinned else ["{} names no package".format(path)]))
    return 1 if found or not pinned else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
