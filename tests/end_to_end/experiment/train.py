# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The experiment: a linear classifier of handwritten digits, trained epoch by epoch.

Runs on the agent as the script of a task, in a virtual environment that the agent makes for it. It reports a loss and an
accuracy for each epoch, stores the weights as an artifact, and prints the SHA-256 of the bytes that it stored.
"""

import hashlib
import pathlib
import tempfile
import time

import numpy
from clearml import Task
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

ARTIFACT = "weights"


def main() -> None:
    task = Task.init(project_name="homelab", task_name="digits")
    parameters = task.connect({"epochs": 10, "seed": 7, "pause_seconds": 0.0})
    images, digits = load_digits(return_X_y=True)
    train_images, test_images, train_digits, test_digits = train_test_split(
        images / 16, digits, test_size=0.25, random_state=int(parameters["seed"]), stratify=digits
    )
    model = SGDClassifier(loss="log_loss", random_state=int(parameters["seed"]))
    logger = task.get_logger()
    for epoch in range(1, int(parameters["epochs"]) + 1):
        model.partial_fit(train_images, train_digits, classes=numpy.arange(10))
        loss = log_loss(test_digits, model.predict_proba(test_images))
        accuracy = model.score(test_images, test_digits)
        logger.report_scalar("loss", "test", value=loss, iteration=epoch)
        logger.report_scalar("accuracy", "test", value=accuracy, iteration=epoch)
        print(f"epoch {epoch}: loss {loss:.4f}, accuracy {accuracy:.4f}", flush=True)
        time.sleep(float(parameters["pause_seconds"]))
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "weights.npy"
        numpy.save(path, numpy.vstack([model.coef_.T, model.intercept_]))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        size = path.stat().st_size
        if not task.upload_artifact(ARTIFACT, path, wait_on_upload=True):
            raise RuntimeError("the artifact was not stored")
    print(f"artifact {ARTIFACT}: {size} bytes, sha256 {digest}", flush=True)


if __name__ == "__main__":
    main()
