# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host takes over from this machine: certificates, apt and pip settings. Nothing of it is in the repository."""

from __future__ import annotations

import configparser
import os
import pathlib
import re
import subprocess

SUITE = "bookworm"
SUITES = {SUITE, f"{SUITE}-updates", f"{SUITE}-security"}
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
CA_VARIABLES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO")
_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy")
_PREFIXES = ("PIP_", "UV_")
_TRANSPORT = re.compile(r"Acquire::(https?|Retries|Check-|ForceIPv|By-Hash|Queue-Mode)")
_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def ca_bundle() -> str:
    """This machine's certificate authorities as PEM text, from SSL_CERT_FILE or Debian's place; empty when there are none."""
    for path in (os.environ.get("SSL_CERT_FILE"), BUNDLE):
        if path and os.path.isfile(path):
            return pathlib.Path(path).read_text(encoding="utf-8", errors="replace")
    return ""


def extra_certificates(bundle: str, known: str) -> list[str]:
    """Certificates of ``bundle`` that ``known`` lacks, in order, without repetition."""
    have = {"".join(block.split()) for block in _BLOCK.findall(known)}
    extra = []
    for block in _BLOCK.findall(bundle):
        if "".join(block.split()) not in have:
            have.add("".join(block.split()))
            extra.append(block + "\n")
    return extra


def environment(own: dict[str, str], inside: list[str]) -> dict[str, str]:
    """Variables for everything that runs on a host.

    The names of certificate bundles point to the host's own copy. Settings of pip, uv and of proxies are taken over,
    except those that name a local file or folder, which a host does not have.

    Args:
        own: this machine's environment.
        inside: addresses and networks of the lab, which no proxy may serve.
    """
    result = dict.fromkeys(CA_VARIABLES, BUNDLE)
    for name, value in own.items():
        if name.startswith(_PREFIXES) and name not in result and value and not _local(value):
            result[name] = value
        if name.lower() in _PROXIES and value:
            result[name] = value
    if any(name.lower() in _PROXIES for name in result):
        outside = own.get("no_proxy") or own.get("NO_PROXY") or ""
        value = ",".join([*filter(None, outside.split(",")), *inside])
        result["no_proxy"] = result["NO_PROXY"] = value
    return result


def _local(value: str) -> bool:
    return value.startswith(("/", "./", "../", "~", "file:"))


def pip_configuration() -> str:
    """pip's settings of this machine and of this user as one file; empty when there are none."""
    home = pathlib.Path.home()
    merged = configparser.RawConfigParser()
    merged.read(
        [
            "/etc/pip.conf",
            home / ".pip" / "pip.conf",
            pathlib.Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf",
            *filter(None, [os.environ.get("PIP_CONFIG_FILE")]),
        ],
        encoding="utf-8",
    )
    lines = []
    for section in merged.sections():
        options = {
            name: BUNDLE if name == "cert" else value for name, value in merged.items(section) if name == "cert" or not _local(value)
        }
        lines += [f"[{section}]", *(f"{name} = {value}".replace("\n", "\n    ") for name, value in options.items())]
    return "\n".join([*lines, ""]) if lines else ""


def uv_configuration() -> str:
    """uv's settings, the user's before the machine's; empty when there are none."""
    home = pathlib.Path(os.environ.get("XDG_CONFIG_HOME") or pathlib.Path.home() / ".config")
    for path in (home / "uv" / "uv.toml", pathlib.Path("/etc/uv/uv.toml")):
        if path.is_file():
            return path.read_text(encoding="utf-8")
    return ""


def apt_sources(folder: pathlib.Path = pathlib.Path("/etc/apt")) -> list[str]:
    """The machine's own package sources of Debian 12, one ``deb`` line each; empty on a machine of another release."""
    lines = []
    listed = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*.list"))]
    for path in filter(pathlib.Path.is_file, listed):
        for line in path.read_text(encoding="utf-8").splitlines():
            match = re.match(r"deb\s+(\[[^]]*\]\s+)?(\S+)\s+(\S+)\s+(.+)", line.strip())
            if match and match[3] in SUITES and "main" in match[4].split("#")[0].split():
                lines.append(line.strip())
    for path in sorted((folder / "sources.list.d").glob("*.sources")):
        text = re.sub(r"^#.*\n?", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for paragraph in re.split(r"\n\s*\n", text):
            fields = {
                name.strip().lower(): " ".join(value.split())
                for name, value in re.findall(r"^([A-Za-z-]+):((?:.*\n?)(?:[ \t]+.*\n?)*)", paragraph, re.MULTILINE)
            }
            lines += _lines_of(fields)
    return lines


def _lines_of(fields: dict[str, str]) -> list[str]:
    suites = [suite for suite in fields.get("suites", "").split() if suite in SUITES]
    components = fields.get("components", "")
    if "deb" not in fields.get("types", "").split() or "main" not in components.split() or fields.get("enabled") == "no":
        return []
    signed = fields.get("signed-by", "")
    option = f"[signed-by={signed}] " if signed.startswith("/") else ""
    return [f"deb {option}{uri} {suite} {components}" for uri in fields.get("uris", "").split() for suite in suites]


def apt_keyrings(sources: list[str]) -> dict[str, bytes]:
    """The key files that sources name, path to content."""
    paths = {path for line in sources for path in re.findall(r"signed-by=([^\s\],]+)", line)}
    return {path: pathlib.Path(path).read_bytes() for path in sorted(paths) if os.path.isfile(path)}


def apt_options() -> list[str]:
    """apt's transport settings (proxy, certificates, retries, date checks) as configuration lines."""
    done = subprocess.run(["apt-config", "dump", "Acquire"], check=False, capture_output=True, text=True)
    return [line for line in done.stdout.splitlines() if _TRANSPORT.match(line) and not line.endswith('"";')]


def apt_credentials() -> str:
    """apt's login data for package sources (``auth.conf``), joined; empty when there are none."""
    folder = pathlib.Path("/etc/apt")
    files = [folder / "auth.conf", *sorted((folder / "auth.conf.d").glob("*.conf"))]
    return "".join(path.read_text(encoding="utf-8") for path in files if path.is_file() and os.access(path, os.R_OK))
