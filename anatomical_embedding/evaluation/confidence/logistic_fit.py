"""The logistic regression behind every confidence: unknown features take the median, then all are standardised.

Its weak ridge draws standardised features alike. How good it is, is measured on groups that the fit has not seen.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

FEWEST_OF_A_CLASS = 3
"""Fewer examples of either outcome cannot be fitted."""


def fit_logistic(features: FloatArray, outcome: BoolArray, *, regularisation: float) -> Pipeline:
    """Return the fit, with the steps `median`, `standard` and `regression`.

    Parameters
    ----------
    features : (N, features); NaN where unknown.
    outcome : (N,) both of them must occur.
    regularisation : weight of the squared coefficients.
    """
    steps = [
        ("median", SimpleImputer(strategy="median", keep_empty_features=True)),
        ("standard", StandardScaler()),
        ("regression", LogisticRegression(C=1.0 / regularisation, max_iter=1000)),
    ]
    return Pipeline(steps).fit(features, outcome)


def unseen_probabilities(
    features: FloatArray,
    outcome: BoolArray,
    *,
    groups: NDArray[np.str_],
    num_folds: int,
    regularisation: float,
) -> FloatArray:
    """Return (N,) probabilities, each by a fit that has not seen the row's group.

    Where the others are all of one outcome nothing can be fitted (`cross_val_predict` stops there): the overall share
    stands in.
    """
    probabilities = np.full(len(features), outcome.mean())
    for train, unseen in GroupKFold(num_folds).split(features, outcome, groups):
        if len(np.unique(outcome[train])) > 1:
            fitted = fit_logistic(features[train], outcome[train], regularisation=regularisation)
            probabilities[unseen] = fitted.predict_proba(features[unseen])[:, 1]
    return probabilities
