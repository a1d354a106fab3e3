"""What containerd still lacks; these tests fail when it no longer does (docs/nodes.md)."""

from __future__ import annotations

import pytest

from tests.support.containerd import containerd
from tests.support.node_images import convert_image, push_image, runnable_layers
from tests.support.node_stand import NodeStand

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.xdist_group("containerd")]


def test_containers_do_not_start_from_an_index_with_a_device_table(stand: NodeStand) -> None:
    """Upstream defect, containerd 2.3.4 to 2.4.2 (go-erofs 0.3.1).

    The layout of ``mkfs.erofs --tar=i``, containerd's own tar index mode included, mounts, but the
    reader that containerd uses beside the kernel's wants one device for each device slot. When
    this test fails, single-device can stop being the default layout.
    """
    image = push_image(stand.registry, "team/defect", runnable_layers())
    convert_image(stand.registry, image, stand.folder / "spool", signer=stand.signer)
    stand.fetch(image.reference, "--layout", "device-table")
    with containerd(stand.cache) as daemon:
        daemon.pull(image.reference)
        started = daemon.run(image.reference)
        assert started.returncode != 0, "upstream is fixed: see docs/nodes.md, section Upstream"
        assert "extra devices count 1 does not match provided 0" in started.stderr
    # The same content in the other layout, in the same place.
    stand.fetch(image.reference)
    with containerd(stand.cache) as daemon:
        daemon.pull(image.reference)
        assert daemon.output(image.reference) == "hello from layer three, 0\n"
