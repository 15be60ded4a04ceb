"""The Python API: `drugpred.load` and `drugpred.Model`.

::

    model = drugpred.load()
    model.predict({"age": 25, "gender": "F", ...}, drugs=["cannabis"])
    model.predict_proba(frame)

pandas or polars are not imported here; a DataFrame of theirs brings them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args, overload

from pydantic import ConfigDict, TypeAdapter

from drugpred.codebook import DRUGS, INPUTS, WINDOW_INDEX, WINDOWS
from drugpred.errors import needs
from drugpred.schemas import ColumnAddition, Profile, column_names

with needs("frames"):
    import numpy as np

    from drugpred import model_store
    from drugpred.selection import select

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from narwhals.stable.v2.typing import IntoDataFrameT

    from drugpred.codebook import Drug, Scale, Window
    from drugpred.model_store import Card, StoredModel
    from drugpred.schemas import Addition, Prediction
    from drugpred.scoring import Scorer
    from drugpred.selection import Selection

_PROFILES: Final = TypeAdapter(list[Profile], config=ConfigDict(hide_input_in_errors=True))
_CHUNK_ROWS: Final = 10_000  # predicted at once, in 10 MB


def load(model: str | os.PathLike[str] | None = None) -> Model:
    """Return a stored model.

    Parameters
    ----------
    model : str or path, optional
        A tag of BentoML's model store, or the folder of a stored model, for which BentoML is not needed; by default,
        the newest model of the store.

    Raises
    ------
    StoredModelError
        There is no such model, or it is incomplete or altered.
    MissingPackageError
        BentoML is not installed, and the model is not given as a folder.

    Examples
    --------
    >>> drugpred.load()
    Model('drug_consumption:h4wqiixhcwy6uax4')
    """
    if model is not None and (isinstance(model, os.PathLike) or Path(model).is_dir()):
        return Model(model_store.read_folder(Path(model)))
    with needs("serve"):
        return Model(model_store.load() if model is None else model_store.load(model))


class Model:
    """A stored model that predicts, without a server. Several threads may use one.

    Parameters
    ----------
    stored : StoredModel

    Attributes
    ----------
    tag : str
        In BentoML's model store.
    path : pathlib.Path
        Its folder.
    card : Card
        The model's card: data, thresholds, cross-validated figures.
    """

    def __init__(self, stored: StoredModel) -> None:
        self._stored = stored
        self.tag: str = stored.tag
        self.path: Path = stored.path
        self.card: Card = stored.card

    def __repr__(self) -> str:
        return f"Model({self.tag!r})"

    def _repr_html_(self) -> str:
        """Return the card under the tag, for a notebook."""
        return self.card.html(self.tag)

    @cached_property
    def _scorer(self) -> Scorer:
        with needs("serve"):
            from drugpred.scoring import Scorer

        return Scorer(self._stored)

    @overload
    def predict(
        self,
        profiles: Profile | Mapping[str, Any],
        *,
        window: Window | None = None,
        drugs: Iterable[Drug] | None = None,
        include: Iterable[Addition] | None = None,
    ) -> Prediction: ...
    @overload
    def predict(
        self,
        profiles: Sequence[Profile | Mapping[str, Any]],
        *,
        window: Window | None = None,
        drugs: Iterable[Drug] | None = None,
        include: Iterable[Addition] | None = None,
    ) -> list[Prediction]: ...
    def predict(
        self,
        profiles: Profile | Mapping[str, Any] | Sequence[Profile | Mapping[str, Any]],
        *,
        window: Window | None = None,
        drugs: Iterable[Drug] | None = None,
        include: Iterable[Addition] | None = None,
    ) -> Prediction | list[Prediction]:
        """Return the prediction for a person, or a list of them for a list of people, as POST /predict answers it.

        Parameters
        ----------
        profiles : Profile or mapping, or a sequence of them
            As `drugpred.schemas.Profile` describes them; a mapping has its fields.
        window : str, optional
            In place of the profiles' own; "decade" if they have none.
        drugs : iterable of str, optional
            In place of the profiles' own; all if they have none.
        include : iterable of str, optional
            Parts to add, as in a request, in place of the profiles' own; none if they have none.

        Raises
        ------
        pydantic.ValidationError
            A profile is malformed: every field that is, by the position of its profile, with the expected values.

        Examples
        --------
        >>> model.predict(drugpred.schemas.EXAMPLE, drugs=["cannabis"]).risks[0]["label"]
        'High Risk'
        """
        changes: dict[str, object] = {} if window is None else {"window": window}
        for name, chosen in (("drugs", drugs), ("include", include)):
            if chosen is not None:
                changes[name] = chosen if isinstance(chosen, str) else list(chosen)
        if alone := isinstance(profiles, Profile | Mapping):
            checked = [Profile.model_validate(dict(profiles) | changes)]
        else:
            checked = _PROFILES.validate_python([dict(profile) | changes for profile in profiles])
        if not checked:
            return []
        predictions = self._scorer.predict(checked)
        self._scorer.counter.flush()  # which a server does in a thread
        return predictions[0] if alone else predictions

    def predict_proba(
        self,
        frame: IntoDataFrameT,
        window: Window | None = "decade",
        drugs: Iterable[Drug] | None = None,
        *,
        scale: Scale = "standardized",
        include: Iterable[ColumnAddition] = (),
    ) -> IntoDataFrameT:
        """Return the probability of use of each drug for everybody in a DataFrame.

        Parameters
        ----------
        frame : DataFrame of n rows
            Of pandas, polars or another library that narwhals knows, with the columns and labels of a file that
            `drugpred score` takes; other columns are ignored. Scores are taken as they are, as in a request.
        window : str or None
            None for all six.
        drugs : iterable of str, optional
            All by default.
        scale : str
            Of the five NEO scores: standardized, or raw totals.
        include : iterable of str
            Columns to add: interval, the bounds of each probability; support, how many respondents are like the person.

        Returns
        -------
        DataFrame of n rows
            Of the same library and with the same index: a column for each drug in the order of `codebook.DRUGS`, for
            all windows as `cannabis_decade`. Bounds follow the probability as `cannabis_low` and `cannabis_high`; at
            the end are `similar`, `percentile` and `level`.

        Raises
        ------
        ValueError
            Unknown window or drug; or a `ColumnError` with the row, the column and the expected values.
        """
        from drugpred.frames import frame_columns, frame_like, rows_of

        selection = _selection(window, drugs)
        windows = WINDOWS if window is None else (window,)
        rows = rows_of(frame, scale)
        added = _additions(include)
        names = [drug if window is not None else f"{drug}_{of}" for drug in selection.drugs for of in windows]
        columns = column_names(names, added)
        indices = [WINDOW_INDEX[of] for of in windows]
        result = np.empty((len(columns), len(rows)))
        for start in range(0, len(rows), _CHUNK_ROWS):
            chunk = slice(start, start + _CHUNK_ROWS)
            result[:, chunk] = self._stored.columns(rows[chunk], selection.drug_indices, indices, added)
        return frame_like(frame, frame_columns(columns, result))

    def explain(
        self,
        frame: IntoDataFrameT,
        window: Window = "decade",
        drugs: Iterable[Drug] | None = None,
        *,
        scale: Scale = "standardized",
    ) -> IntoDataFrameT:
        """Return the contributions to the log-odds of each probability, for all rows of a DataFrame.

        It takes 10 milliseconds a person, for any number of drugs.

        Parameters
        ----------
        frame, drugs, scale
            As for `predict_proba`.
        window : str

        Returns
        -------
        DataFrame of n rows
            Of the same library and with the same index. For cannabis, `cannabis_base` is the mean log-odds of simulated
            respondents, and `cannabis_age` and so on are the exact Shapley values of the twelve inputs. Together they
            sum up to the log-odds of the probability.

        Raises
        ------
        ValueError
            As for `predict_proba`.
        """
        from drugpred.frames import frame_like, rows_of

        selection = _selection(window, drugs)
        rows = rows_of(frame, scale)
        result = np.empty((len(rows), len(DRUGS), 1 + len(INPUTS)))
        for row, values in zip(rows, result, strict=True):
            base, contributions = self._stored.explainer.explain(row)
            values[:, 0] = base[:, selection.window_index]
            values[:, 1:] = contributions[:, selection.window_index]
        return frame_like(
            frame,
            {
                f"{drug}_{name}": result[:, i, j]
                for i, drug in zip(selection.drug_indices, selection.drugs, strict=True)
                for j, name in enumerate(("base", *INPUTS))
            },
        )


def _selection(window: Window | None, drugs: Iterable[Drug] | None) -> Selection:
    if window is not None and window not in WINDOWS:
        raise ValueError(f"window: expected None or one of {' | '.join(WINDOWS)}")
    chosen = frozenset(DRUGS if drugs is None else [drugs] if isinstance(drugs, str) else drugs)
    if not chosen or not chosen <= set(DRUGS):
        raise ValueError(f"drugs: expected some of {' | '.join(DRUGS)}")
    return select(window or "decade", chosen)


def _additions(include: Iterable[ColumnAddition]) -> frozenset[ColumnAddition]:
    chosen = frozenset(include)
    if not chosen <= set(get_args(ColumnAddition)):
        raise ValueError(f"include: expected some of {' | '.join(get_args(ColumnAddition))}")
    return chosen
