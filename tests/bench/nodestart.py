"""``make demo-node``: a container starts from layers that were never pulled, step by step.

Registry, containerd, runc and the conversion are real and end with the demonstration.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.support.containerd import containerd
from tests.support.node_images import convert_image, push_image, runnable_layers
from tests.support.node_stand import node_stand


def main() -> None:
    """Run the steps and say what each did."""
    with tempfile.TemporaryDirectory(prefix="demo-node-") as folder, node_stand(Path(folder)) as it:
        image = push_image(it.registry, "demo/app", runnable_layers())
        print(f"pushed {image.reference}: {len(image.layers)} layers, whiteouts included")
        for one in convert_image(it.registry, image, it.folder / "spool", signer=it.signer):
            print(f"converted: {one.profile} bundle {one.digest} {one.action}")
        arguments = [each for each in it.fetch_arguments(image.reference) if each != "--json"]
        print("$ verilayer node", *arguments)
        print(it.node(*arguments).stdout, end="")
        it.forget()
        with containerd(it.cache) as daemon:
            print("$ ctr image pull --snapshotter erofs", image.reference)
            daemon.pull(image.reference)
            layers = {str(layer.digest) for layer in image.layers}
            print(
                f"the registry sent {it.bytes_sent()} bytes, "
                f"{len(layers & it.blobs_read())} of {len(layers)} layers"
            )
            print("$ ctr run --snapshotter erofs", image.reference, "app")
            print(daemon.output(image.reference), end="")


if __name__ == "__main__":
    main()
