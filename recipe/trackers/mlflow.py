"""MLflow. Its own environment variables, such as MLFLOW_TRACKING_URI, say where."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from recipe.trackers.tracker import TrackedRun, Tracker

MOST_PER_CALL = 1000
"""The largest number of metrics in a call, by MLflow's REST API."""


class Session:
    """One run there, which is found again by a tag."""

    def __init__(self, run: TrackedRun) -> None:
        from mlflow.entities import Metric, Param, RunTag
        from mlflow.tracking import MlflowClient

        self.metric, self.client, self.waiting = Metric, MlflowClient(), list[Any]()
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "recipe")
        experiment = self.client.get_experiment_by_name(name)
        number = experiment.experiment_id if experiment else self.client.create_experiment(name)
        found = self.client.search_runs([number], f"tags.recipe_run = '{run.id}'", max_results=1)
        if found:
            self.id = found[0].info.run_id
            self.client.update_run(self.id, status="RUNNING")
            return
        self.id = self.client.create_run(number, tags={"recipe_run": run.id}, run_name=run.name).info.run_id
        settings = [Param(_key(name), str(value)) for name, value in run.settings.items() if value is not None]
        for start in range(0, len(settings), 100):
            self.client.log_batch(self.id, params=settings[start : start + 100])
        self.client.log_batch(self.id, tags=[RunTag("recipe", run.recipe[:5000])])

    def log(self, step: int, values: Mapping[str, float]) -> None:
        now = int(1000 * time.time())
        self.waiting += [self.metric(_key(name), value, now, step) for name, value in values.items()]

    def flush(self) -> None:
        while self.waiting:
            self.client.log_batch(self.id, metrics=self.waiting[:MOST_PER_CALL])
            del self.waiting[:MOST_PER_CALL]

    def finish(self, results: Mapping[str, float | str]) -> None:
        self.flush()
        for name, value in results.items():
            if isinstance(value, float):
                self.client.log_metric(self.id, _key(f"result/{name}"), value)
        self.client.set_tag(self.id, "recipe_status", results["status"])
        self.client.set_terminated(self.id, "KILLED" if results["status"] == "stopped" else "FINISHED")


def _key(name: str) -> str:
    """Return a name with only those characters that MLflow allows."""
    return "".join(letter if letter.isalnum() or letter in "_-. /" else "_" for letter in name)


TRACKER = Tracker(
    "MLflow", "MLflow, in the experiment MLFLOW_EXPERIMENT_NAME or `recipe`.", Session, needs=("mlflow",),
    install="recipe-compiler[mlflow]",
)  # fmt: skip
