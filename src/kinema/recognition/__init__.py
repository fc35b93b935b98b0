"""Recognition: fine-tune and evaluate video classifiers, with and without motion prompts."""

from kinema.recognition.comparison import (
    Comparison,
    compare,
    weight_similarity,
    write_comparison,
)
from kinema.recognition.data import DATASETS, Source, find_clips
from kinema.recognition.evaluation import (
    Evaluation,
    evaluate,
    write_evaluation,
)
from kinema.recognition.model import FRONT_ENDS, NORMALISATIONS, new_model, save_weights
from kinema.recognition.prediction import Prediction, predict
from kinema.recognition.recipe import Recipe, read_recipe, recipe_names
from kinema.recognition.run import Run, load_model, read_run
from kinema.recognition.schedule import relative_rate
from kinema.recognition.scores import Scores, score, top_k_accuracy
from kinema.recognition.training import finetune

__all__ = [
    "DATASETS",
    "FRONT_ENDS",
    "NORMALISATIONS",
    "Comparison",
    "Evaluation",
    "Prediction",
    "Recipe",
    "Run",
    "Scores",
    "Source",
    "compare",
    "evaluate",
    "find_clips",
    "finetune",
    "load_model",
    "new_model",
    "predict",
    "read_recipe",
    "read_run",
    "recipe_names",
    "relative_rate",
    "save_weights",
    "score",
    "top_k_accuracy",
    "weight_similarity",
    "write_comparison",
    "write_evaluation",
]
