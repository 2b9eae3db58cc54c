"""The training of a program: one loop, to be read from top to bottom, and what goes before and after it."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor, fx, nn

from recipe import checkpoint, files
from recipe.bind import bind
from recipe.compiler import Program, lower
from recipe.devices import Precision, environment, pick, precision
from recipe.diagnostics import Diagnostic, Diverged, RecipeError, fail
from recipe.folder import choose_folder, finished_run, lock_text, truncate_metrics
from recipe.images import Sets, evaluation_loader, training_loader
from recipe.inputs import override, source_from
from recipe.objective import Preparation, Teach, objective
from recipe.plan import Plan
from recipe.registry import Vocabulary
from recipe.report import Listener, Quiet, heading, pictures
from recipe.signals import Interrupted, Signals
from recipe.source import Source
from recipe.syntax import read
from recipe.training import Progress


@attrs.frozen(eq=False)
class Run:
    """A finished run: its folder, its summary, and the trained model as it was evaluated."""

    folder: Path
    summary: dict[str, Any]
    model: fx.GraphModule

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """Every line of `metrics.jsonl`."""
        return [json.loads(line) for line in (self.folder / "metrics.jsonl").read_text().splitlines()]


def learning_rate(plan: Plan, progress: Progress) -> float:
    """The learning rate at a step: the base rate times the factor of every trick that has one."""
    if plan.training.rate_per_epoch and progress.epoch >= progress.warmup:
        # Inside the warmup the rate rises with each batch all the same; after it, it holds for a whole epoch.
        risen = math.ceil(progress.warmup * progress.steps_per_epoch)
        begun = int(progress.epoch) * progress.steps_per_epoch
        progress = attrs.evolve(progress, step=max(begun, risen))
    return math.prod((trick.factor(progress) for trick in plan.hooked("factor")), start=plan.training.rate)


def parameter_groups(plan: Plan, model: nn.Module) -> list[dict[str, Any]]:
    """The parameters, grouped by the options that tricks give them. Each group names its parameters in ``names``."""
    groups: dict[tuple[tuple[str, Any], ...], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        owner = model.get_submodule(name.rpartition(".")[0])
        options: dict[str, Any] = {"weight_decay": plan.training.weight_decay}
        for trick in plan.hooked("group"):
            options |= trick.group(name, parameter, owner)
        key = tuple(sorted(options.items()))
        group = groups.setdefault(key, {"params": [], "names": [], **options})
        group["params"].append(parameter)
        group["names"].append(name)
    return list(groups.values())


@attrs.define
class Meter:
    """Sums that stay on the device until they are read."""

    loss: Tensor
    correct: Tensor
    images: int = 0

    @classmethod
    def on(cls, device: torch.device) -> Meter:
        return cls(torch.zeros((), device=device), torch.zeros((), device=device, dtype=torch.long))

    def add(self, loss: Tensor, logits: Tensor, targets: Tensor) -> None:
        """Count a part of a batch: its mean loss, logits (N, K), and targets as class numbers or distributions."""
        labels = targets.argmax(1) if targets.ndim == 2 else targets
        self.loss += loss.detach() * len(logits)
        self.correct += (logits.detach().argmax(1) == labels).sum()
        self.images += len(logits)

    def read(self) -> dict[str, float]:
        return {"loss": float(self.loss) / self.images, "top1": int(self.correct) / self.images}


@attrs.define(eq=False)
class Average:
    """The moving average of the weights; buffers are those of the model."""

    model: fx.GraphModule
    decay: float

    @torch.no_grad()
    def update(self, model: nn.Module, updates: int) -> None:
        decay = min(self.decay, (1 + updates) / (10 + updates))
        torch._foreach_lerp_(list(self.model.parameters()), list(model.parameters()), 1 - decay)
        for mine, theirs in zip(self.model.buffers(), model.buffers(), strict=True):
            mine.copy_(theirs)


@attrs.define(eq=False)
class Trainer:
    """All that a training holds: its state, and the pure functions that change it."""

    plan: Plan
    sets: Sets
    device: torch.device
    precision: Precision
    model: fx.GraphModule
    forward: Callable[[Tensor], Any]
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    average: Average | None
    prepare: Preparation
    loss_of: Callable[[Any, Tensor, Tensor], tuple[Tensor, Tensor]]
    steps_per_epoch: int
    step: int = 0

    @classmethod
    def make(cls, program: Program, sets: Sets, device: torch.device, chosen: Precision, teach: Teach) -> Trainer:
        plan, training = program.plan, program.training
        layout = torch.channels_last if training.channels_last else torch.contiguous_format
        model = program.model.to(device=device, memory_format=layout)  # type: ignore[call-overload]
        forward = model
        if training.compile_mode is not None:
            forward = torch.compile(model, mode=training.compile_mode)
        optimizer = plan.hooked("optimize")[0].optimize(parameter_groups(plan, model), training.rate)
        scaler = torch.amp.GradScaler(device.type, enabled=chosen.scaled)
        average = None
        if training.average_decay is not None:
            average = Average(copy.deepcopy(model), training.average_decay)
        prepare = Preparation.of(plan, sets, device)
        steps = training.steps(len(sets.train.labels))
        return cls(
            plan,
            sets,
            device,
            chosen,
            model,
            forward,
            optimizer,
            scaler,
            average,
            prepare,
            objective(plan, teach),
            steps,
        )

    @property
    def evaluated(self) -> fx.GraphModule:
        """The model that is evaluated and kept: the average where there is one."""
        return self.average.model if self.average else self.model

    @property
    def total_steps(self) -> int:
        return self.plan.training.epochs * self.steps_per_epoch

    def progress(self) -> Progress:
        training = self.plan.training
        return Progress(self.step, self.steps_per_epoch, training.epochs, training.warmup)

    def state(self) -> dict[str, Any]:
        """All that a training needs to go on, bit by bit."""
        return {
            "digest": self.plan.digest,
            "step": self.step,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average.model.state_dict() if self.average else None,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.step = state["step"]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        if self.average:
            self.average.model.load_state_dict(state["average"])

    def train_step(self, batch: Any, meter: Meter) -> float:
        """One update from one batch; gives the learning rate it used."""
        training = self.plan.training
        rate = learning_rate(self.plan, self.progress())
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        torch.manual_seed(_step_seed(training.seed, self.step))  # for dropout and the like
        inputs, targets = self.prepare(batch)
        if training.channels_last:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        for x, y in parts(inputs, targets, training.micro):
            with self.precision.autocast():
                outputs = self.forward(x)
            loss, logits = self.loss_of(outputs, y, x)
            self.scaler.scale(loss * (len(x) / len(inputs))).backward()  # type: ignore[no-untyped-call]
            meter.add(loss, logits, y)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average:
            self.average.update(self.model, self.step)
        self.step += 1
        return rate

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Mean loss and accuracy over every test image."""
        model = self.evaluated.eval()
        training, data = self.plan.training, self.plan.use("data")
        batch = min(training.micro or training.batch, 256)
        workers = data.trick.workers if data else 0  # type: ignore[attr-defined]
        meter, top5 = Meter.on(self.device), torch.zeros((), device=self.device, dtype=torch.long)
        for part in evaluation_loader(self.sets.test, batch, workers, self.device.type == "cuda"):
            inputs, labels = self.prepare.plain(part)
            if training.channels_last:
                inputs = inputs.contiguous(memory_format=torch.channels_last)
            with self.precision.autocast():
                logits = model(inputs).float()
            meter.add(nn.functional.cross_entropy(logits, labels), logits, labels)
            if self.sets.classes > 5:
                top5 += (logits.topk(5).indices == labels[:, None]).sum()
        self.model.train()
        extra = {"top5": int(top5) / meter.images} if self.sets.classes > 5 else {}
        return {**meter.read(), **extra}


def _step_seed(seed: int, step: int) -> int:
    return int.from_bytes(hashlib.sha256(f"step/{seed}/{step}".encode()).digest()[:7], "big")


def parts(inputs: Tensor, targets: Tensor, micro: int | None) -> list[tuple[Tensor, Tensor]]:
    """A batch cut into micro batches; a last one of a single image joins the one before it."""
    if micro is None or len(inputs) <= micro:
        return [(inputs, targets)]
    sizes = [micro] * (len(inputs) // micro)
    rest = len(inputs) - sum(sizes)
    if rest == 1:
        sizes[-1] += 1
    elif rest:
        sizes.append(rest)
    return list(zip(torch.split(inputs, sizes), torch.split(targets, sizes), strict=True))


def open_sets(plan: Plan) -> Sets:
    """The plan's images. Raises `RecipeError` (E070) where they are missing or unfit."""
    data = plan.use("data")
    assert data is not None
    try:
        sets = data.trick.open()
    except (OSError, ValueError) as error:
        named = isinstance(error, OSError) and error.strerror
        reason = f"{error.strerror}: {error.filename}".lower() if named else str(error)  # type: ignore[union-attr]
        raise fail("E070", f"`{data.word}`: {reason}", data.span) from error
    if len(sets.train.labels) < 2:
        raise fail("E070", f"`{data.word}` has fewer than two images to train on", data.span)
    return sets


def find_teacher(
    plan: Plan, classes: int, near: Path, vocabulary: Vocabulary, options: dict[str, Any], listener: Listener
) -> Teach:
    """For each teacher of a plan, the function from inputs to its logits; an unfinished teacher is trained first."""
    teach: dict[str, Callable[[Tensor], Tensor]] = {}
    for use in plan.uses:
        for value in use.values.values():
            if not (hasattr(value, "path") and hasattr(value, "digest")):
                continue
            path = Path(value.path)
            teacher = bind([read(path, str(path))], vocabulary, data=True)
            program = lower(teacher)
            if program.classes != classes:
                message = f"the teacher `{path.name}` tells {program.classes} classes apart, and the student {classes}"
                raise fail("E072", message, use.span)
            folder = finished_run(near, teacher.digest)
            if folder is None:
                listener.note(f"teacher {path.name}: no finished run in {near}, so it is trained first")
                home = near / f"{path.stem}-{teacher.digest[:8]}"
                run(teacher, out=home, resume=True, listener=listener, vocabulary=vocabulary, **options)
                folder = finished_run(near, teacher.digest)
                assert folder is not None
            else:
                listener.note(f"teacher {path.name}: using the finished run {folder}")
            teach[value.digest] = _teacher(program, folder, pick(options["device"]))
    return teach


def _teacher(program: Program, folder: Path, device: torch.device) -> Callable[[Tensor], Tensor]:
    from safetensors.torch import load_file

    plan, model = program.plan, program.model
    model.load_state_dict(load_file(folder / "model.safetensors"))
    layout = torch.channels_last if plan.training.channels_last else torch.contiguous_format
    model = model.to(device=device, memory_format=layout).eval()  # type: ignore[call-overload]
    chosen = precision(plan.training.precision, device)

    @torch.no_grad()
    def teach(inputs: Tensor) -> Tensor:
        with chosen.autocast():
            return model(inputs).float()  # type: ignore[no-any-return]

    return teach


def plan_of(recipe: str | Path | Source | Plan | Program, statements: tuple[str, ...], vocabulary: Vocabulary) -> Plan:
    """The plan that a run of something follows; it has data."""
    if isinstance(recipe, Program):
        recipe = recipe.plan
    if isinstance(recipe, Plan):
        if recipe.use("data") and not statements:
            return recipe
        return bind([*recipe.sources, *override(statements)], vocabulary, data=True)
    return bind([source_from(recipe), *override(statements)], vocabulary, data=True)


def run(
    recipe: str | Path | Source | Plan | Program,
    *statements: str,
    out: str | Path | None = None,
    device: str | None = None,
    strict: bool = False,
    resume: bool = False,
    listener: Listener | None = None,
    vocabulary: Vocabulary | None = None,
    name: str = "run",
) -> Run:
    """Train a recipe: text, a path, a plan, or a compiled program; ``statements`` are laid over it.

    ``out`` is the run's folder (default: a new one in ``runs``), ``device`` a name such as ``cuda:0``; ``strict``
    refuses to substitute a precision; ``resume`` goes on from the folder's last checkpoint. Raises `RecipeError` for
    what can't be trained, and `Diverged` when the loss is no longer finite.
    """
    listener, vocabulary = listener or Quiet(), vocabulary or Vocabulary.installed()
    plan = plan_of(recipe, statements, vocabulary)
    chosen_device = pick(device)
    chosen = precision(plan.training.precision, chosen_device, strict)
    folder = choose_folder(out, name, plan.digest, resume)
    sets = open_sets(plan)
    program = lower(plan, base=recipe.module if isinstance(recipe, Program) else None)
    if program.classes < sets.classes:
        raise fail("E071", f"the model has {program.classes} outputs, and the data {sets.classes} classes")
    options = {"device": device, "strict": strict}
    teach = find_teacher(plan, program.classes, folder.parent, vocabulary, options, listener)
    trainer = Trainer.make(program, sets, chosen_device, chosen, teach)
    state = checkpoint.load(folder / "checkpoints", chosen_device) if resume else None
    if state is not None:
        if state["digest"] != plan.digest:
            raise fail("E113", f"`{folder}` holds a run of another recipe", help="give another --out")
        trainer.restore(state)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        truncate_metrics(folder, trainer.step)
    except OSError as error:
        raise fail("E111", f"`{folder}` can't be written: {(error.strerror or str(error)).lower()}") from None
    files.write_text(folder / "recipe.lock", lock_text(plan))
    files.write_json(folder / "environment.json", environment(chosen_device, chosen))
    for warning in plan.warnings:
        listener.note(f"warning: {warning.message}")
    if chosen.note:
        listener.note(chosen.note)
    summary = _train(trainer, program, folder, listener)
    return Run(folder, summary, trainer.evaluated)


def dry(plan: Plan, *, device: str | None, strict: bool, listener: Listener, vocabulary: Vocabulary) -> None:
    """Do all that comes before a training and can fail: device, precision, data, compilation, teachers; then say so."""
    chosen_device = pick(device)
    chosen = precision(plan.training.precision, chosen_device, strict)
    sets = open_sets(plan)
    program = lower(plan, device="meta")
    steps = plan.training.steps(len(sets.train.labels))
    for line in (*heading(program), chosen.note):
        if line:
            listener.note(line)
    listener.note(
        f"{len(sets.train.labels)} training images, {len(sets.test.labels)} held out; {plan.training.epochs} epochs of "
        f"{steps} steps on {chosen_device}; nothing was trained"
    )


def _train(trainer: Trainer, program: Program, folder: Path, listener: Listener) -> dict[str, Any]:
    """The loop: every step, then every epoch's evaluation and checkpoint; then what is kept of the run."""
    plan, training, sets = trainer.plan, trainer.plan.training, trainer.sets
    boxes = plan.hooked("box")
    data = plan.use("data")
    assert data is not None
    log_every = 1 if trainer.device.type == "cpu" else 20
    listener.start(program, folder, trainer.step, trainer.total_steps, trainer.steps_per_epoch)
    began, trained_for, result = time.monotonic(), 0.0, {}
    first_step = trainer.step
    with Signals() as signals, (folder / "metrics.jsonl").open("a", encoding="utf-8") as metrics:

        def record(kind: str, **values: Any) -> None:
            _append(metrics, {"kind": kind, "step": trainer.step, "epoch": trainer.progress().epoch, **values})

        loader = training_loader(
            sets.train,
            training,
            boxes[0].box if boxes else None,
            trainer.step,
            trainer.total_steps,
            data.trick.workers,  # type: ignore[attr-defined]
            trainer.device.type == "cuda",
        )
        trainer.model.train()
        meter, since, logged = Meter.on(trainer.device), time.monotonic(), trainer.step
        for batch in loader:
            rate = trainer.train_step(batch, meter)
            last = trainer.step % trainer.steps_per_epoch == 0
            if trainer.step - logged >= log_every or last:
                seen = meter.read()
                if not math.isfinite(seen["loss"]):
                    raise _diverged(trainer.step, folder)
                speed = meter.images / max(1e-9, time.monotonic() - since)
                record("train", **seen, lr=rate, images_per_second=speed)
                listener.step(trainer.step, seen["loss"], seen["top1"], rate, speed)
                trained_for += time.monotonic() - since
                meter, since, logged = Meter.on(trainer.device), time.monotonic(), trainer.step
            if last:
                result = trainer.evaluate()
                record("evaluation", **result)
                listener.epoch(trainer.step // trainer.steps_per_epoch, result)
            if last or signals.received:
                checkpoint.save(folder / "checkpoints", trainer.step, trainer.state())
                since = time.monotonic()
            if signals.received and trainer.step < trainer.total_steps:
                listener.stop()
                raise Interrupted(signals.received, folder, trainer.step)
    if not result:  # resumed after its last step
        result = trainer.evaluate()
    images = (trainer.step - first_step) / trainer.steps_per_epoch * len(sets.train.labels)
    summary = {
        "schema_version": 1,
        "status": "finished",
        "digest": plan.digest,
        "epochs": training.epochs,
        "steps": trainer.step,
        **result,
        "seconds": time.monotonic() - began,
        "images_per_second": images / trained_for if trained_for else None,
        "params": program.costs.params,
        "macs": program.costs.macs,
        "precision": trainer.precision.name,
        "device": str(trainer.device),
        "notes": [note for note in (*program.notes, trainer.precision.note) if note],
    }
    checkpoint.save_weights(folder / "model.safetensors", trainer.evaluated.state_dict(), plan.digest)
    pictures(folder)
    files.write_json(folder / "summary.json", summary)
    listener.finish(summary)
    return summary


def _append(file: Any, line: dict[str, Any]) -> None:
    try:
        file.write(json.dumps(line) + "\n")
        file.flush()
    except OSError as error:
        help = "the last checkpoint is whole; make room, then go on with --resume"
        raise fail(
            "E111", f"`{file.name}` can't be written: {(error.strerror or str(error)).lower()}", help=help
        ) from None


def _diverged(step: int, folder: Path) -> RecipeError:
    saved = sorted((folder / "checkpoints").glob("step-*.pt"))
    kept = f"the last good checkpoint is {saved[-1]}" if saved else "no checkpoint was written before"
    message = f"the training diverged: the loss is no longer finite at step {step}"
    return Diverged(Diagnostic("E112", message, help=f"{kept}; try a lower learning rate or a longer warmup"))
