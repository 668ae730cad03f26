"""Linear models of scikit-learn as models with gradients, which can be attacked."""

import numpy as np

from .. import checks
from ..checked import checked
from ..models import SoftmaxRegression


def _linear_technique(name, value):
    """Return the value if it has linear scores."""
    return checks.has(name, value, ("coef_", "intercept_", "classes_"), "a fitted linear technique of scikit-learn")


@checked(technique=_linear_technique)
def linear_scores(technique):
    r"""Return a model whose logits are the scores :math:`z = x W + b` of a linear technique of scikit-learn.

    Parameters
    ----------
    technique : sklearn.linear_model.LogisticRegression, sklearn.svm.LinearSVC, ...
        A fitted model with three or more classes, 0 to K − 1.

    Returns
    -------
    SoftmaxRegression
        Its loss is the cross-entropy, whatever loss the technique was trained with.

    Raises
    ------
    TypeError
        If the technique is not a fitted linear model.
    ValueError
        If its classes are not 0 to K − 1 with K ≥ 3.
    """
    weight = technique.coef_
    if list(technique.classes_) != list(range(len(weight))):
        raise ValueError(
            f"technique has the classes {list(technique.classes_)} and {len(weight)} scores; "
            "the classes 0 to K − 1 and K scores were expected"
        )
    model = SoftmaxRegression(weight.shape[1], len(weight), dtype=weight.dtype)
    model.params = dict(zip(model.params, (np.ascontiguousarray(weight.T), technique.intercept_), strict=True))
    return model
