"""Models of scikit-learn as models that can be attacked."""

import numpy as np

from .. import checks
from ..checked import checked
from ..models import SoftmaxRegression


def _linear_technique(name, value):
    """Refuse what has no linear scores."""
    return checks.has(name, value, ("coef_", "intercept_", "classes_"), "a fitted linear technique of scikit-learn")


@checked(technique=_linear_technique)
def linear_scores(technique):
    r"""The scores :math:`z = x W + b` of a linear technique of scikit-learn as a model that can be attacked.

    Parameters
    ----------
    technique : sklearn.linear_model.LogisticRegression, sklearn.svm.LinearSVC, ...
        Fitted, with three or more classes 0 to K − 1.

    Returns
    -------
    SoftmaxRegression
        Its loss is the cross-entropy, whatever the technique was trained with.
    """
    weight = technique.coef_
    if list(technique.classes_) != list(range(len(weight))):
        raise ValueError(
            f"technique: classes {list(technique.classes_)} and {len(weight)} scores; 0 to K − 1 were expected"
        )
    model = SoftmaxRegression(weight.shape[1], len(weight), dtype=weight.dtype)
    model.params = dict(zip(model.params, (np.ascontiguousarray(weight.T), technique.intercept_), strict=True))
    return model
