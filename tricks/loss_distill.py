"""loss distill TEACHER: knowledge distillation from another model.

He et al. 2019, section 5.3 (Hinton et al. 2015): ℓ(p, softmax(z)) + T² · ℓ(softmax(r / T), softmax(z / T)), with the
student's logits z, the teacher's r, and T = 20. GluonCV weights each of the two by one half. The second
term is reported without the entropy of the teacher's predictions, which is up to T² · ln(K) for K classes and has no
gradient.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recipe.api import RecipeFile, Trick, fail, number, teacher, trick
from recipe.tricks._paper import stacked

if TYPE_CHECKING:
    import torch

    from recipe.api import Evidence, LossContext, PlanView


@trick(
    "loss distill",
    position=150,
    reads=("targets", "mix"),
    writes=("loss terms",),
    known_as=("distillation", "knowledge-distillation", "kd", "kd-loss", "teacher", "teacher-model"),
)
class Distill(Trick):
    """Learn from the softened predictions of a teacher, another model.

    A teacher is a recipe, the folder of a run, or the text of a recipe. A run is used as it is, and so is a recipe that
    states only a model with pretrained weights. Any other recipe is trained first if there is no finished run of it.
    """

    teacher: RecipeFile = teacher("recipe or run of the teacher")
    temperature: float = number(20.0, "temperature T of both distributions", above=0, maximum=1000)
    weight: float = number(1.0, "weight of the loss on the labels", minimum=0, maximum=100, dialects={"gluoncv": 0.5})
    soft_weight: float = number(
        1.0, "weight of the loss on the teacher's predictions", minimum=0, maximum=100, dialects={"gluoncv": 0.5}
    )

    def check(self, plan: PlanView) -> Iterable[str]:
        if not self.weight and not self.soft_weight:
            raise fail("E024", "`weight` and `soft-weight` are both 0, so there is nothing to learn")
        if not self.soft_weight:
            yield "nothing is learned from the teacher: `soft-weight` is 0"

    def evidence(self, plan: PlanView) -> Iterable[Evidence]:
        mixed = plan.find("augment mixup") is not None
        rows = ("mixup", "both") if mixed else ("smooth", "distill")
        return stacked(plan, *rows, f"distillation with{'' if mixed else 'out'} mixup")

    def loss_term(self, context: LossContext) -> torch.Tensor:
        term = self.soft_weight * distillation(context.logits, context.teach(self.teacher.digest), self.temperature)
        if self.weight != 1:
            term = term + (self.weight - 1) * context.loss
        return term


def distillation(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return T² times the mean divergence of the softened distributions, given the logits (N, K) of both models.

    It is 0 if both are the same. Its gradient is that of their cross entropy.
    """
    import torch
    import torch.nn.functional as F

    soft = F.softmax(teacher.float() / temperature, dim=1)
    entropy: torch.Tensor = torch.special.entr(soft).sum() / len(soft)
    divergence = F.cross_entropy(student.float() / temperature, soft) - entropy
    return divergence * temperature**2
