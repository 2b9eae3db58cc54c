"""Check correctness and measure speed on a GPU: python -m tests.gpu [--quick] [--fake] [--seconds N] [--out FOLDER]

Run it from the root of the repository. Correctness first: compare each set of tricks on the device with the CPU, check
half precision, list waits for the device, and train twice to compare bits. Then speed: images per second, host time, a
profile, and loading from files. Each result is printed and immediately written to FOLDER/gpu.jsonl. A part that fails
is reported, and a part that no longer fits the budget is skipped. At the end, the results are written to a section of
docs/benchmarks.md under the name of the device. The exit code is 1 if anything was wrong.

--quick is small enough for a CPU and does not write the page. --page FILE writes the page from a gpu.jsonl of another
machine. --fake needs no GPU: see tests/gpu/fake.py.
"""

from __future__ import annotations

import argparse
import platform
import sys
from functools import partial
from pathlib import Path

import torch

from recipe.devices.choice import cores, pick
from tests.benchmarks.__main__ import PAGE, merged
from tests.gpu import limits
from tests.gpu.feeding import fed
from tests.gpu.page import read, section
from tests.gpu.right import repeats, right
from tests.gpu.session import FILE, Session, wrong
from tests.gpu.speed import MODELS, PAPER, ceilings, profiled, timed


def machine(session: Session) -> None:
    device = session.device
    session.tell(
        "machine",
        device=torch.cuda.get_device_name(device) if session.cuda else "a CPU",
        torch=torch.__version__,
        cudnn=torch.backends.cudnn.version(),
        python=platform.python_version(),
        cores=cores(),
        quick=session.quick,
    )


def session_of(asked: argparse.Namespace) -> Session:
    """Run all parts, the most informative first."""
    session = Session(pick(), asked.seconds, asked.out, asked.quick)
    machine(session)
    forms = ("fp16", "bf16") if session.cuda else ("fp32",)
    parts = [
        ("ceilings", 10, partial(ceilings, session)),
        ("right", 60, partial(right, session)),
        ("repeats", 30, partial(repeats, session)),
    ]
    for model in [*MODELS][: 1 if session.quick else None]:
        parts += [("speed", 30, partial(timed, session, model, form)) for form in forms]
    parts += [("speed", 30, partial(timed, session, "ResNet-50-D", form, held=False)) for form in forms]
    parts += [
        ("speed", 30, partial(timed, session, "ResNet-50-D", forms[0], tricks=PAPER)),
        ("profile", 30, partial(profiled, session)),
        ("fed", 60, partial(fed, session)),
    ]
    if not session.quick:
        parts.append(("speed", 30, partial(timed, session, "ResNet-50-D", forms[0], tricks="augment trivial")))
        compiled = [("ResNet-50-D", form, held) for form in forms for held in (True, False)]
        compiled += [("ResNet-50", form, True) for form in forms]
        parts += [("speed", 100, partial(timed, session, *one[:2], held=one[2], mode="compile")) for one in compiled]
        parts.append(("speed", 100, partial(timed, session, "ResNet-50-D", forms[0], mode="compile reduce-overhead")))
    session.run(parts)
    session.tell("done", seconds=round(asked.seconds - session.left), wrong=len(wrong(session.lines)))
    return session


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.gpu", description="Check correctness and measure speed on a GPU."
    )
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--quick", action="store_true", help="run a small version that fits a CPU")
    kinds.add_argument("--fake", action="store_true", help="trace a step with each trick on a fake GPU")
    kinds.add_argument("--page", type=Path, metavar="FILE", help=f"write the page from a {FILE} without measuring")
    parser.add_argument("--seconds", type=float, default=520, help="time budget in seconds (default: 520)")
    parser.add_argument("--out", type=Path, default=Path("runs/gpu"), help=f"folder for {FILE} (default: runs/gpu)")
    asked = parser.parse_args()
    if asked.fake:
        return limits.main()
    if asked.page is None and not asked.quick and not torch.cuda.is_available():
        parser.error("no CUDA device found; use --quick to run on a CPU, or --fake to trace steps on a fake GPU")
    try:
        lines = None if asked.page is None else read(asked.page)
        asked.out.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if lines is None:
        lines = session_of(asked).lines
    text = "\n".join(section(lines)) + "\n"
    if not asked.quick:
        PAGE.write_text(merged(PAGE.read_text("utf-8"), text, whole=False), "utf-8")
    print(text)
    return int(bool(wrong(lines)))


if __name__ == "__main__":
    sys.exit(main())
