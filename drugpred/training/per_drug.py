"""A binary classifier for each drug and window: logistic regression, which can be served, or another for comparison."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Self

import numpy as np
from imblearn.over_sampling import SMOTE, SMOTENC
from imblearn.pipeline import Pipeline
from imblearn.under_sampling import RandomUnderSampler
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import FunctionTransformer
from threadpoolctl import threadpool_limits

from drugpred import codebook
from drugpred.predictor import STARTS, design_matrix
from drugpred.training.estimators import cumulative_targets, input_mask, quantize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Sampler = Literal["none", "smote", "smotenc", "undersampling"]

_MIN_PER_OUTCOME: Final = 10
"""With fewer users or non-users some folds of recalibration would lack them, and SMOTE would lack neighbours."""

_INNER_FOLDS: Final = 5


def logistic(penalty: float, class_weight: str | None = None) -> LogisticRegression:
    """Return an unfitted logistic regression with an L2 penalty."""
    return LogisticRegression(C=1 / penalty, class_weight=class_weight, max_iter=1000)


class _Fitted(NamedTuple):
    """One fitted classifier."""

    classifier: Any  # None if everybody or nobody was a user
    slope: float | None
    """Probabilities are expit(slope * response + intercept), or those of the classifier if it is None."""
    intercept: float

    def probabilities(self, X: Floats) -> Floats:
        if self.classifier is None:
            return np.full(len(X), expit(self.intercept))
        linear = hasattr(self.classifier, "decision_function") and self.slope is not None
        response: Floats = self.classifier.decision_function(X) if linear else self.classifier.predict_proba(X)[:, 1]
        return response if self.slope is None else np.asarray(expit(self.slope * response + self.intercept))


class PerDrug(BaseEstimator):
    """A binary classifier for every drug and window.

    The probabilities of a drug's windows are sorted, like those of the networks. The fitted estimator contains no
    sampler: SMOTE and others store the rows that they were fitted on.

    Parameters
    ----------
    classifier : scikit-learn classifier
        Cloned for each drug and window.
    sampler : {"none", "smote", "smotenc", "undersampling"}
        The sampler of imbalanced-learn that balances users and non-users of the training rows; unused if there are
        fewer than ten of either.
    recalibrate : bool
        Whether to calibrate probabilities by Platt's sigmoid, fitted on held-out training rows that were not
        resampled.
    windows : tuple of str
        Windows to fit; the probabilities of the others are nan.
    leave_out : tuple of str
        Inputs to ignore.
    random_state : int
        Seed of the sampler and of the folds of recalibration.

    Attributes
    ----------
    direct_, output_bias_ : ndarray of float32
        For logistic regression only: arrays of `drugpred.predictor.Predictor`, multiples of `QUANTIZATION_STEP`.
    fitted_ : dict
        For any other classifier: the fitted ones, by drug and window.
    """

    def __init__(
        self,
        classifier: ClassifierMixin,
        sampler: Sampler = "none",
        recalibrate: bool = False,
        windows: tuple[codebook.Window, ...] = codebook.WINDOWS,
        leave_out: tuple[str, ...] = (),
        random_state: int = 42,
    ) -> None:
        self.classifier = classifier
        self.sampler = sampler
        self.recalibrate = recalibrate
        self.windows = windows
        self.leave_out = leave_out
        self.random_state = random_state

    def fit(self, X: Floats, y: NDArray[np.integer[Any]]) -> Self:
        """Fit to design columns of shape (n, 38) and classes of last use of shape (n, 18)."""
        columns, targets = X * input_mask(self.leave_out), cumulative_targets(y)
        with threadpool_limits(1):  # folds run in parallel
            outcomes = product(range(targets.shape[1]), self._window_indices())
            fitted = {at: self._fit_one(columns, targets[:, *at]) for at in outcomes}
        if not self._is_linear():
            self.fitted_ = fitted
            return self
        direct = np.zeros((X.shape[1], *targets.shape[1:]))
        bias = np.full(targets.shape[1:], np.nan)
        for at, (classifier, slope, intercept) in fitted.items():
            bias[at] = intercept
            if classifier is not None:
                steepness = 1.0 if slope is None else slope
                direct[:, *at] = steepness * classifier.coef_[0]
                bias[at] += steepness * classifier.intercept_[0]
        self.direct_, self.output_bias_ = quantize(direct.reshape(len(direct), -1)), quantize(bias.ravel())
        return self

    def _fit_one(self, X: Floats, y: NDArray[np.bool_]) -> _Fitted:
        rarer = min(y.sum(), (~y).sum())
        if rarer == 0:
            return _Fitted(None, 1.0, float(np.log((y.sum() + 0.5) / ((~y).sum() + 0.5))))
        enough = rarer >= _MIN_PER_OUTCOME
        pipeline = Pipeline([*(self._steps() if enough else ()), ("classify", clone(self.classifier))])
        if not self.recalibrate or not enough:
            return _Fitted(pipeline.fit(X, y)[-1], None, 0.0)
        folds = StratifiedKFold(_INNER_FOLDS, shuffle=True, random_state=self.random_state)
        fitted = CalibratedClassifierCV(pipeline, method="sigmoid", cv=folds, ensemble=False).fit(X, y)
        (calibrated,) = fitted.calibrated_classifiers_
        (sigmoid,) = calibrated.calibrators
        return _Fitted(calibrated.estimator[-1], -float(sigmoid.a_), -float(sigmoid.b_))

    def _steps(self) -> list[tuple[str, Any]]:
        """Return the steps of a pipeline that balance users and non-users while it is fitted."""
        if self.sampler == "none":
            return []
        if self.sampler == "undersampling":
            return [("sample", RandomUnderSampler(random_state=self.random_state))]
        if self.sampler == "smote":
            return [("sample", SMOTE(random_state=self.random_state))]
        categories, mask = list(range(len(codebook.CATEGORIES))), input_mask(self.leave_out)
        return [
            ("decode", FunctionTransformer(_rows)),
            ("sample", SMOTENC(categories, random_state=self.random_state)),
            ("encode", FunctionTransformer(lambda rows: design_matrix(rows) * mask)),
        ]

    def predict_proba(self, X: Floats) -> Floats:
        """Return probabilities of use of shape (n, 18, 6), never rising along the windows."""
        columns = X * input_mask(self.leave_out)
        shape = (len(X), len(codebook.DRUGS), len(codebook.WINDOWS))
        if self._is_linear():
            log_odds = columns @ self.direct_.astype(np.float64) + self.output_bias_.astype(np.float64)
            probabilities: Floats = expit(log_odds).reshape(shape)
        else:
            probabilities = np.full(shape, np.nan)
            with threadpool_limits(1):
                for at, fitted in self.fitted_.items():
                    probabilities[:, *at] = fitted.probabilities(columns)
        windows = self._window_indices()
        probabilities[:, :, windows] = -np.sort(-probabilities[:, :, windows], axis=2)
        return probabilities

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return the fitted weights for `drugpred.predictor.Predictor`: a network without hidden units.

        Raises
        ------
        TypeError
            It is not a logistic regression of every window.
        """
        if not self._is_linear() or set(self.windows) != set(codebook.WINDOWS):
            raise TypeError("expected a logistic regression of every window")
        m, n = self.direct_.shape
        return {
            "inputs": np.zeros((m, 0), np.float32),
            "bias": np.zeros(0, np.float32),
            "outputs": np.zeros((0, n), np.float32),
            "output_bias": self.output_bias_,
            "direct": self.direct_,
        }

    def _is_linear(self) -> bool:
        return isinstance(self.classifier, LogisticRegression)

    def _window_indices(self) -> list[int]:
        return [k for k, window in enumerate(codebook.WINDOWS) if window in self.windows]


def _rows(columns: Floats) -> Floats:
    """Return the respondents' rows of design columns: the inverse of `drugpred.predictor.design_matrix`."""
    n = len(codebook.CATEGORIES)
    levels = np.split(columns[:, : STARTS[n]], STARTS[1:n], axis=1)
    return np.column_stack([*(level.argmax(axis=1) for level in levels), columns[:, STARTS[n] :]])
