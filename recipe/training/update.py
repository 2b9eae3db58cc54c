"""From gradients to an update: what tricks make of the gradients, the guard, the loss scaler and the optimizer."""

from __future__ import annotations

from typing import Any

import attrs
import torch
from torch import Tensor, fx, nn

from recipe.base.errors import fail
from recipe.compiler.program import Program
from recipe.devices.precision import Precision
from recipe.graph.net import Net
from recipe.plan.plan import Plan
from recipe.plugins.calling import broken, call_hook, fault_of
from recipe.plugins.progress import Progress
from recipe.plugins.uses import Use
from recipe.training.meters import Guard

STEP = "the optimizer's step"


@attrs.define(eq=False)
class Update:
    """What changes the weights, and the tricks that have a say in it."""

    plan: Plan
    optimizing: Use
    """The trick that made the optimizer."""
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    guard: Guard
    names_by_group: tuple[str, ...]
    """The parameters that train, in the order of the optimizer's groups."""
    net: Net
    """The model, as tricks see it, which has the same parameters in the order of the network."""
    weights: tuple[nn.Parameter, ...]
    """The parameters, in the order of ``names_by_group``."""

    @classmethod
    def make(cls, program: Program, model: fx.GraphModule, precision: Precision, device: torch.device) -> Update:
        plan, groups = program.plan, optimizer_groups(program, model)
        optimizing = plan.hooked("optimize")[0]
        optimizer = call_hook(optimizing, "optimize", groups, plan.training.rate)
        _begin_momentum(optimizer)
        names = tuple(name for group in groups for name in group["names"])
        return cls(
            plan=plan,
            optimizing=optimizing,
            optimizer=optimizer,
            scaler=torch.amp.GradScaler(device.type, enabled=precision.scaled),
            guard=Guard.on(device, len(names)),
            names_by_group=names,
            net=Net(model),
            weights=tuple(parameter for group in groups for parameter in group["params"]),
        )

    def frozen(self, progress: Progress) -> frozenset[str]:
        """The parameters that do not train at a step."""
        uses = self.plan.hooked("frozen")
        if not uses:
            return frozenset()
        frozen, everything = set[str](), {*self.net.parameter_names}
        for use in uses:
            told = {*call_hook(use, "frozen", self.net, progress)}
            wrong = sorted(told - everything)
            if wrong or told == everything:
                why = f"there is no parameter `{wrong[0]}`" if wrong else "it freezes every parameter"
                raise broken(use, "frozen", why)
            frozen |= told
        if frozen and frozen == everything:
            raise fail("E102", "the model has no parameter that trains: together the tricks freeze all of them")
        return frozenset(frozen)

    def perturbations(self) -> list[Tensor] | None:
        """How far a trick wants the gradients taken from the weights; None where no trick wants that."""
        uses = self.plan.hooked("perturb")
        if not uses:
            return None
        weights, gradients = self._trained()
        weights = [weight.detach() for weight in weights]
        if self.scaler.is_enabled() and self.scaler._scale is not None:
            gradients = [*torch._foreach_div(gradients, self.scaler._scale.to(gradients[0].dtype))]
        steps = call_hook(uses[0], "perturb", weights, gradients)
        # Where gradients are not finite no update will be made, and the weights must stay what they are.
        return [torch.nan_to_num(step, nan=0.0, posinf=0.0, neginf=0.0) for step in steps]

    def make_step(self, step: int, loss: Tensor, progress: Progress) -> None:
        """Let the optimizer change the weights, where loss and gradients are finite; then forget the gradients."""
        optimizer, guard = self.optimizer, self.guard
        if self.scaler.is_enabled():  # which looks at the gradients, and absorbs those that its scale makes infinite
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
        """The loss; for a loss scaler one without a number where no update may be made, which makes it skip that."""
        if not self.scaler.is_enabled():
            return loss
        with torch.no_grad():
            sound = loss.isfinite() & (self.guard.broken == 0)
            factor = torch.where(sound, 1.0, torch.nan)
        return loss * factor

    def _trained(self) -> tuple[list[Tensor], list[Tensor]]:
        """The weights that have a gradient, and these gradients."""
        pairs = [(weight, gradient) for weight in self.weights if (gradient := weight.grad) is not None]
        return [weight for weight, _ in pairs], [gradient for _, gradient in pairs]

    def forget_gradients(self) -> None:
        for weight in self.weights:
            weight.grad = None

    @torch.no_grad()
    def _adjust(self, step: int, loss: Tensor, progress: Progress) -> None:
        """Let tricks change the gradients; what they break is looked at as the gradients themselves are."""
        uses = self.plan.hooked("adjust")
        if not uses:
            return
        scaled = self.scaler.is_enabled()
        if scaled:
            self.scaler.unscale_(self.optimizer)
        weights, gradients = self._trained()
        for use in uses:
            changed = call_hook(use, "adjust", gradients, weights, progress)
            if changed is not gradients:
                torch._foreach_copy_(gradients, [*changed])
        if not scaled:
            self.guard.look(step, loss, self.gradients)
            return
        found_inf: Tensor
        (found_inf,) = self.scaler._per_optimizer_states[id(self.optimizer)]["found_inf_per_device"].values()
        absorbed = found_inf.squeeze() > 0
        self.guard.look(step, loss, self.gradients, absorbed=absorbed)
        found_inf.copy_(torch.maximum(found_inf, self.guard.broken.to(found_inf)))


def optimizer_groups(program: Program, model: nn.Module) -> list[dict[str, Any]]:
    """The parameter groups that an optimizer takes, of a program's model; each names its parameters in ``names``."""
    parameters = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    groups = []
    for group in program.groups:
        names = [name for name in group.names if name in parameters]  # the model's owner may have frozen some since
        if names:
            groups.append({**group.options, "params": [parameters[name] for name in names], "names": names})
    if not groups:
        raise fail("E102", "the model has no parameter that trains: all are frozen")
    if thawed := parameters.keys() - {name for group in groups for name in group["names"]}:
        message = f"`{min(thawed)}` was frozen when the recipe was compiled, and is not now"
        raise fail("E102", message, help="compile the model as it is to be trained")
    return groups


def _begin_momentum(optimizer: torch.optim.Optimizer) -> None:
    """Let momentum begin at zero, which changes no update.

    A fused SGD whose first update is not made, for an infinite gradient, would go on from memory that nobody set.
    """
    for group in optimizer.param_groups:
        if isinstance(optimizer, torch.optim.SGD) and group["momentum"] and not group["dampening"]:
            for parameter in group["params"]:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


def lay_out(optimizer: torch.optim.Optimizer) -> None:
    """Give what an optimizer keeps of each parameter the layout of that parameter: fused ones pair them by memory."""
    for parameter in (weight for group in optimizer.param_groups for weight in group["params"]):
        state = optimizer.state.get(parameter, {})
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape and value.stride() != parameter.stride():
                state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
