"""run_classifier.py on two machines, as the documentation starts it, gives the losses of one.

python tests/slow/two_machines.py

The machines are network namespaces of this one, with addresses of their own on a cable between
them; root is needed to make these.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

import scripts_worker
from examples_support import write_model, write_sst2

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("ptbert-a", "ptbert-b")
ADDRESSES = ("10.77.0.1", "10.77.0.2")
PORT = "29577"


def call(*command: str) -> None:
    """Run a command that must work."""
    subprocess.run(command, check=True)


def connect() -> None:
    """Two machines and the cable."""
    for name in NAMES:
        call("ip", "netns", "add", name)
    cable = ["ip", "link", "add", "eth-a", "netns", NAMES[0], "type", "veth"]
    call(*cable, "peer", "name", "eth-b", "netns", NAMES[1])
    for name, device, address in zip(NAMES, ("eth-a", "eth-b"), ADDRESSES, strict=True):
        within = ["ip", "-n", name]
        call(*within, "addr", "add", f"{address}/24", "dev", device)
        call(*within, "link", "set", device, "up")
        call(*within, "link", "set", "lo", "up")


def start(machine: int, argv: list[str]) -> subprocess.Popen[bytes]:
    """The command of one machine: torchrun with the address of the first."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2"]
    launcher += ["--nproc_per_node", "1", "--node_rank", str(machine)]
    launcher += ["--master_addr", ADDRESSES[0], "--master_port", PORT]
    device = ("eth-a", "eth-b")[machine]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": device}
    script = str(ROOT / "examples" / "run_classifier.py")
    command = ["ip", "netns", "exec", NAMES[machine], *launcher, script, "--no_cuda", *argv]
    return subprocess.Popen(command, env=environment)


def losses(output: Path) -> list[float]:
    """Those of all steps."""
    with (output / "history.csv").open(newline="", encoding="utf-8") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def main() -> None:
    """Run it both ways and compare."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_model(folder / "bert")
        write_sst2(folder / "sst2")
        connect()
        try:
            argv = scripts_worker.commands(folder, 2)["run_classifier"]
            running = [start(n, [*argv, "--output_dir", str(folder / "two")]) for n in range(2)]
            codes = [process.wait() for process in running]
        finally:
            for machine in NAMES:
                call("ip", "netns", "del", machine)
        argv = scripts_worker.commands(folder, 1)["run_classifier"]
        problem = scripts_worker.call(
            "run_classifier", [*argv, "--output_dir", str(folder / "one")]
        )
        if any(codes) or problem:
            sys.exit(f"failed: {codes} {problem}")
        one, two = losses(folder / "one"), losses(folder / "two")
    worst = max(abs(a - b) for a, b in zip(one, two, strict=True))
    print(f"{len(one)} steps on two machines: losses differ by at most {worst:.2e}")
    sys.exit(0 if worst < 1e-5 else 1)


if __name__ == "__main__":
    main()
