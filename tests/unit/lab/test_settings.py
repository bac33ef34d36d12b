# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts take over from this machine."""

from labkit import settings

CA = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----"


def test_only_certificates_that_debian_lacks_are_extra():
    known = CA.format("AAA\nBBB")
    bundle = "\n".join([CA.format("AAABBB"), "# a comment", CA.format("CCC"), CA.format("CCC")])
    assert settings.extra_certificates(bundle, known) == [CA.format("CCC") + "\n"]


def test_certificate_variables_point_to_the_hosts_own_bundle():
    found = settings.environment({"SSL_CERT_FILE": "/somewhere/else.pem", "HOME": "/root", "PIP_INDEX_URL": ""}, [])
    assert found == dict.fromkeys(settings.CA_VARIABLES, settings.BUNDLE)


def test_settings_of_package_clients_are_taken_over_but_no_local_paths():
    own = {"PIP_INDEX_URL": "https://mirror.example/simple", "UV_NATIVE_TLS": "1", "PIP_FIND_LINKS": "/opt/wheels", "UV_CACHE_DIR": "~/uv"}
    found = settings.environment(own, [])
    assert found["PIP_INDEX_URL"] == "https://mirror.example/simple"
    assert found["UV_NATIVE_TLS"] == "1"
    assert "PIP_FIND_LINKS" not in found
    assert "UV_CACHE_DIR" not in found
    assert "no_proxy" not in found


def test_a_proxy_never_serves_the_lab_itself():
    found = settings.environment({"https_proxy": "http://proxy.example:3128", "NO_PROXY": "a.example"}, ["10.213.1.0/24"])
    assert found["https_proxy"] == "http://proxy.example:3128"
    assert found["no_proxy"] == found["NO_PROXY"] == "a.example,10.213.1.0/24"


def test_package_sources_of_this_release_only(tmp_path):
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(
        "# deb http://m.example/debian bookworm main\n"
        "deb [signed-by=/k.gpg] http://m.example/debian bookworm main contrib\n"
        "deb-src http://m.example/debian bookworm main\n"
        "deb http://m.example/ubuntu jammy main\n"
    )
    (tmp_path / "sources.list.d" / "docker.list").write_text("deb http://d.example/debian bookworm stable\n")
    (tmp_path / "sources.list.d" / "debian.sources").write_text(
        "Types: deb deb-src\n# a comment\nURIs: http://n.example/debian\nSuites: bookworm\n bookworm-updates\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n"
        "Types: deb\nURIs: http://off.example/debian\nSuites: bookworm\nComponents: main\nEnabled: no\n\n"
        "Types: deb\nURIs: http://other.example\nSuites: nodistro\nComponents: main\n"
    )
    signed = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
    assert settings.apt_sources(tmp_path) == [
        "deb [signed-by=/k.gpg] http://m.example/debian bookworm main contrib",
        f"deb {signed} http://n.example/debian bookworm main",
        f"deb {signed} http://n.example/debian bookworm-updates main",
    ]


def test_keyrings_that_sources_name_are_found(tmp_path):
    key = tmp_path / "k.gpg"
    key.write_bytes(b"key")
    sources = [f"deb [arch=amd64 signed-by={key}] http://m.example/debian bookworm main", "deb [signed-by=/no/such] http://x y main"]
    assert settings.apt_keyrings(sources) == {str(key): b"key"}
