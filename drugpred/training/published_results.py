"""Published sensitivity and specificity of use within a decade, for the best model of each drug.

Fehrman, Muhammad, Mirkes, Egan and Gorban, arXiv:1506.06297v2, Table 18.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from drugpred.training.tables import Table, format_number

if TYPE_CHECKING:
    from drugpred.model_store import Card


class PublishedResult(NamedTuple):
    """One drug's best model."""

    method: str  # DT is a decision tree, kNN nearest neighbours, LDA linear discriminant analysis
    n_features: int  # out of ten: age, gender, education and the seven scores
    sensitivity: float  # in percent, as is specificity
    specificity: float


WHY_OPTIMISTIC: Final = (
    "Each published pair is the best of thousands to millions of models of that drug, selected by the same"
    " leave-one-out score that is reported, so it is optimistic: selecting the best of just 120 trees that way adds 3.4"
    " points to the sum for common drugs and 22 to 27 for alcohol, caffeine and chocolate. Our model and threshold are"
    " fixed inside the training folds."
)

PUBLISHED: Final = {
    "alcohol": PublishedResult("LDA", 5, 75.34, 63.24),
    "amphetamines": PublishedResult("DT", 6, 81.30, 71.48),
    "amyl_nitrite": PublishedResult("DT", 4, 73.51, 87.86),
    "benzodiazepines": PublishedResult("DT", 6, 70.87, 71.51),
    "caffeine": PublishedResult("kNN", 5, 70.51, 72.97),
    "cannabis": PublishedResult("DT", 6, 79.29, 80.00),
    "chocolate": PublishedResult("kNN", 4, 72.43, 71.43),
    "cocaine": PublishedResult("DT", 5, 68.27, 83.06),
    "crack": PublishedResult("DT", 2, 80.63, 78.57),
    "ecstasy": PublishedResult("DT", 3, 76.17, 77.16),
    "heroin": PublishedResult("DT", 3, 82.55, 72.98),
    "ketamine": PublishedResult("DT", 5, 72.29, 80.98),
    "legal_highs": PublishedResult("DT", 6, 79.53, 82.37),
    "lsd": PublishedResult("DT", 6, 85.46, 77.56),
    "methadone": PublishedResult("DT", 5, 79.14, 72.48),
    "mushrooms": PublishedResult("DT", 2, 65.56, 94.79),
    "nicotine": PublishedResult("DT", 4, 71.28, 79.07),
    "volatile_substances": PublishedResult("DT", 6, 83.48, 77.64),
}
"""By drug."""


def published_table(card: Card) -> Table:
    """Return published and cross-validated sensitivity and specificity of every drug, decade, in percent."""
    rows, sums = [], []
    for drug, published in PUBLISHED.items():
        ours = card.drugs[drug]["decade"]
        # Sensitivity and specificity add up to twice the balanced accuracy.
        measured = (ours.sensitivity, 100), (ours.specificity, 100), (ours.balanced_accuracy, 200)
        values = [published.sensitivity, published.specificity, published.sensitivity + published.specificity]
        values += [np.nan if value is None else scale * value for value, scale in measured]
        sums.append((values[2], values[5]))
        interval = ours.intervals.get("balanced_accuracy")
        bounds = f"{200 * interval[0]:.1f} to {200 * interval[1]:.1f}" if interval else "-"
        rows.append((drug, *(format_number(value, 1) for value in values), bounds))
    theirs, mine = (format_number(value, 1) for value in np.nanmean(sums, axis=0))
    rows.append(("mean", "", "", theirs, "", "", mine, ""))
    headings = ("drug", "published\nsens.", "\nspec.", "\nsum", "ours\nsens.", "\nspec.", "\nsum", "95%\ninterval")
    return Table("published and cross-validated, decade, percent", headings, rows, WHY_OPTIMISTIC)
