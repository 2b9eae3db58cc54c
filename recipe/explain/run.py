"""What the folder of a run says of it: how it ended, what it was trained on, and how good it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recipe.base.printable import printable
from recipe.base.wording import columns, listing, plural
from recipe.plan.plan import Plan
from recipe.runs.overview import row_of
from recipe.runs.provenance import read_provenance
from recipe.runs.reader import summary_of


def facts_of(folder: Path, plan: Plan) -> dict[str, Any]:
    """Return what is known of a run as plain JSON values. What is unknown is None.

    Raises `RecipeError` (E120) if a file that describes its classes or images is damaged.
    """
    row, summary, made = row_of(folder, folder.name, plan), summary_of(folder), read_provenance(folder)
    tested = summary.get("test")
    return {
        "status": row.status,
        "epochs": row.epochs,
        "planned_epochs": row.of_epochs,
        "kept": summary.get("kept"),
        "kept_epoch": summary["best"]["epoch"] if summary.get("kept") == "best" else None,
        "top1": row.top1,
        "loss": row.loss,
        "training_images": made.data.training.images if made else None,
        "held_out_images": made.data.held_out.images if made else None,
        "test": {name: tested[name] for name in ("images", "top1", "loss")} if tested else None,
        "class_names": list(made.classes.names) if made else None,
    }


def as_text(facts: dict[str, Any], classes: int) -> str:
    """Return the facts as a section of a report. ``classes`` is the number of the model's outputs."""
    trained = (
        "" if facts["epochs"] is None else f", {facts['epochs']:.4g} of {plural(facts['planned_epochs'], 'epoch')}"
    )
    kept = "" if facts["kept_epoch"] is None else f"; the weights of epoch {facts['kept_epoch']:.4g} are kept"
    rows = [("status", f"{facts['status']}{trained}{kept}")]
    if facts["training_images"] is not None:
        held_out = f"{facts['held_out_images']} held-out ones"
        rows.append(("images", f"{plural(facts['training_images'], 'training image')} and {held_out}"))
    names = printable(listing(facts["class_names"])) if facts["class_names"] else "without names"
    rows.append(("classes", f"{classes}: {names}"))
    if facts["top1"] is not None:
        rows.append(("results", f"top-1 {facts['top1']:.2%}, loss {facts['loss']:.4f} on the held-out images"))
    if test := facts["test"]:
        rows.append(("test", f"top-1 {test['top1']:.2%}, loss {test['loss']:.4f} on {plural(test['images'], 'image')}"))
    return f"run\n{columns(rows, indent=2)}"
