"""Pretrained vectors are tested in trainings too."""

from tests.training.conftest import trainer

__all__ = ["trainer"]
