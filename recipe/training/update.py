"""From gradients to an update: tricks that change the gradients, the guard, the loss scaler and the optimizer."""

from __future__ import annotations

import attrs
import torch
from torch import Tensor, fx, nn

from recipe.compiler.program import Program
from recipe.devices.precision import Precision
from recipe.plan.plan import Plan
from recipe.plugins.calling import call_hook, fault_of
from recipe.plugins.progress import Progress
from recipe.plugins.uses import Use
from recipe.training.meters import Guard

STEP = "the optimizer's step"


@attrs.define(eq=False)
class Update:
    """Everything that changes the weights: the optimizer, the loss scaler, and the tricks that affect updates."""

    plan: Plan
    optimizing: Use
    """The trick that created the optimizer."""
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    guard: Guard
    names_by_group: tuple[str, ...]
    """The names of the trainable parameters, in the order of the optimizer's groups."""
    weights: tuple[nn.Parameter, ...]
    """The parameters, in the order of ``names_by_group``."""

    @classmethod
    def make(cls, program: Program, model: fx.GraphModule, precision: Precision, device: torch.device) -> Update:
        plan, groups = program.plan, program.param_groups(model)
        names = tuple(name for group in groups for name in group["names"])
        return cls(
            plan=plan,
            optimizing=plan.hooked("optimize")[0],
            optimizer=program.optimizer(model),
            scaler=torch.amp.GradScaler(device.type, enabled=precision.scaled),
            guard=Guard.on(device, len(names)),
            names_by_group=names,
            weights=tuple(parameter for group in groups for parameter in group["params"]),
        )

    def perturbations(self, progress: Progress) -> list[Tensor] | None:
        """Return a trick's offsets from the weights at which to compute the gradients, or None without such a trick."""
        uses = self.plan.acting("perturb", progress)
        if not uses:
            return None
        weights, gradients = self._trained()
        weights = [weight.detach() for weight in weights]
        if not self.scaler.is_enabled() or self.scaler._scale is None:
            return [*call_hook(uses[0], "perturb", weights, gradients)]
        gradients = [*torch._foreach_div(gradients, self.scaler._scale.to(gradients[0].dtype))]
        steps = call_hook(uses[0], "perturb", weights, gradients)
        # The scaler absorbs gradients that its scale makes infinite, so they must not make the next loss infinite too.
        return [torch.nan_to_num(step, nan=0.0, posinf=0.0, neginf=0.0) for step in steps]

    def make_step(self, step: int, loss: Tensor, progress: Progress) -> None:
        """Let the optimizer change the weights if the loss and gradients are finite, then discard the gradients."""
        optimizer, guard = self.optimizer, self.guard
        if self.scaler.is_enabled():  # the scaler checks the gradients, and absorbs those that its scale makes infinite
            scale = self.scaler._scale
            guard.look(step, loss, scale_too_low=None if scale is None else scale < 1.0)
            self._adjust(step, loss, progress)
            with fault_of(self.optimizing, STEP):
                self.scaler.step(optimizer)
            self.scaler.update()
        else:
            guard.look(step, loss, self.gradients)
            self._adjust(step, loss, progress)
            if getattr(optimizer, "_step_supports_amp_scaling", False) and "fused" in optimizer.defaults:
                optimizer.found_inf, optimizer.grad_scale = guard.broken, None  # type: ignore[attr-defined]
                with fault_of(self.optimizing, STEP):
                    optimizer.step()
            elif not guard.broken:
                with fault_of(self.optimizing, STEP):
                    optimizer.step()
        self.forget_gradients()

    @property
    def gradients(self) -> list[Tensor | None]:
        return [weight.grad for weight in self.weights]

    def nan_if_broken(self, loss: Tensor) -> Tensor:
        """Return the loss, or NaN if the update must be skipped and a loss scaler is in use to skip it."""
        if not self.scaler.is_enabled():
            return loss
        with torch.no_grad():
            sound = loss.isfinite() & (self.guard.broken == 0)
            factor = torch.where(sound, 1.0, torch.nan)
        return loss * factor

    def _trained(self) -> tuple[list[Tensor], list[Tensor]]:
        """Return the weights that have a gradient, and their gradients."""
        pairs = [(weight, gradient) for weight in self.weights if (gradient := weight.grad) is not None]
        return [weight for weight, _ in pairs], [gradient for _, gradient in pairs]

    def forget_gradients(self) -> None:
        for weight in self.weights:
            weight.grad = None

    @torch.no_grad()
    def _adjust(self, step: int, loss: Tensor, progress: Progress) -> None:
        """Let tricks change the gradients. Non-finite results count like non-finite gradients."""
        if not self.plan.acting("adjust", progress):
            return
        scaled = self.scaler.is_enabled()
        if scaled:
            self.scaler.unscale_(self.optimizer)
        self.adjust(progress)
        if not scaled:
            self.guard.look(step, loss, self.gradients)
            return
        found_inf: Tensor
        (found_inf,) = self.scaler._per_optimizer_states[id(self.optimizer)]["found_inf_per_device"].values()
        absorbed = found_inf.squeeze() > 0
        self.guard.look(step, loss, self.gradients, absorbed=absorbed)
        found_inf.copy_(torch.maximum(found_inf, self.guard.broken.to(found_inf)))

    def adjust(self, progress: Progress) -> None:
        """Let tricks change the gradients."""
        weights, gradients = self._trained()
        for use in self.plan.acting("adjust", progress):
            changed = call_hook(use, "adjust", gradients, weights, progress)
            if changed is not gradients:
                torch._foreach_copy_(gradients, [*changed])


def lay_out(optimizer: torch.optim.Optimizer) -> None:
    """Give optimizer state the memory layout of its parameter. Fused optimizers pair the two by memory."""
    for parameter in (weight for group in optimizer.param_groups for weight in group["params"]):
        state = optimizer.state.get(parameter, {})
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape and value.stride() != parameter.stride():
                state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
