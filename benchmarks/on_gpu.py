"""The equivalence gate and the step times of a backend on a GPU.

    python benchmarks/on_gpu.py cupy 'cupy-cuda12x[ctk]'

Installs the requirement, runs `rbench verify` and the suite `step-time`. Where there is no GPU it says why, and
ends well.
"""

import subprocess
import sys

from rbench.probe import cuda_problem


def main() -> None:
    """Verify and time the backend that the command line names, with the requirement that it names."""
    backend, requirement = sys.argv[1:]
    problem = cuda_problem()
    if problem is not None:
        print(f"skipped: {problem}")
        return
    place = ["--backend", backend, "--device", "cuda"]
    for words in (
        ["-m", "pip", "install", "--quiet", requirement, "pytest-benchmark>=5"],
        ["-P", "-m", "rbench.cli", "verify", *place],
        ["-P", "-m", "rbench.cli", "run", "step-time", *place],
    ):
        subprocess.run([sys.executable, *words], check=True)


if __name__ == "__main__":
    main()
