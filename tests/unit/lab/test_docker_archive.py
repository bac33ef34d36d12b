# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Image archives: what containerd's importer relies on."""

import hashlib
import io
import json
import tarfile

from labkit.docker_archive import Image, LayerWriter, write


def layer(path, content=b"hello"):
    with LayerWriter(path) as writer:
        writer.data("/usr/bin/tool", content, 0o755)
        writer.link("/bin/tool", "../usr/bin/tool")
        writer.folder("/tmp", 0o1777)
    return writer.layer


def packed(*images):
    buffer = io.BytesIO()
    write(images, buffer)
    return buffer.getvalue()


def test_every_digest_in_the_archive_is_that_of_its_content(tmp_path):
    image = Image(("docker.io/library/tool:1",), (layer(tmp_path / "a"), layer(tmp_path / "b", b"other")), {"Cmd": ["tool"]})
    with tarfile.open(fileobj=io.BytesIO(packed(image))) as archive:
        (entry,) = json.load(archive.extractfile("manifest.json"))
        assert entry["RepoTags"] == ["docker.io/library/tool:1"]
        config = archive.extractfile(entry["Config"]).read()
        assert entry["Config"] == f"{hashlib.sha256(config).hexdigest()}.json"
        digests = [f"sha256:{hashlib.sha256(archive.extractfile(name).read()).hexdigest()}" for name in entry["Layers"]]
    document = json.loads(config)
    assert document["rootfs"]["diff_ids"] == digests
    assert document["config"] == {"Cmd": ["tool"]}
    assert (document["os"], document["architecture"]) == ("linux", "amd64")


def test_a_shared_layer_is_stored_once(tmp_path):
    base, own = layer(tmp_path / "a"), layer(tmp_path / "b", b"other")
    archive = packed(Image(("one:1",), (base,), {}), Image(("two:1",), (base, own), {}))
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        assert sorted(name for name in tar.getnames() if name.endswith("layer.tar")) == sorted(
            [f"{base.diff_id}/layer.tar", f"{own.diff_id}/layer.tar"]
        )
        assert [len(entry["Layers"]) for entry in json.load(tar.extractfile("manifest.json"))] == [1, 2]


def test_the_same_content_gives_the_same_bytes(tmp_path):
    def image(name):
        return Image(("tool:1",), (layer(tmp_path / name),), {})

    assert packed(image("a")) == packed(image("b"))


def test_folders_on_the_way_come_first_and_no_entry_twice(tmp_path):
    with LayerWriter(tmp_path / "layer") as writer:
        writer.data("etc/app/conf", b"first")
        writer.data("etc/app/conf", b"second")
    with tarfile.open(tmp_path / "layer") as tar:
        assert tar.getnames() == ["etc", "etc/app", "etc/app/conf"]
        assert tar.extractfile("etc/app/conf").read() == b"first"


def test_an_unpacked_root_loses_devices_documents_and_what_lies_below(tmp_path):
    with tarfile.open(tmp_path / "root.tar", "w") as tar:
        for name in ("./usr/bin/b", "./usr/share/doc/b", "./usr/lib/shared"):
            member = tarfile.TarInfo(name)
            member.size = 1
            member.mtime = 1234
            tar.addfile(member, io.BytesIO(b"x"))
        device = tarfile.TarInfo("./dev/null")
        device.type = tarfile.CHRTYPE
        tar.addfile(device)
        hard = tarfile.TarInfo("./usr/bin/a")
        hard.type, hard.linkname = tarfile.LNKTYPE, "./usr/bin/b"
        tar.addfile(hard)
    with LayerWriter(tmp_path / "layer") as writer:
        writer.archive(tmp_path / "root.tar", ["usr/share/doc"], frozenset({"usr/lib/shared"}))
    with tarfile.open(tmp_path / "layer") as tar:
        members = {member.name: member for member in tar}
    assert list(members) == ["usr", "usr/bin", "usr/bin/b", "usr/bin/a"]
    assert members["usr/bin/a"].linkname == "usr/bin/b"
    assert {member.mtime for member in members.values()} == {0}
