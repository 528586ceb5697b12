"""Results as a pandas data frame. Needs the extra `pandas`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from acne_edge.errors import MissingExtraError
from acne_edge.prediction import COLUMNS

if TYPE_CHECKING:
    import pandas as pd

    from acne_edge.prediction import Failure, Prediction


def to_dataframe(results: Iterable[Prediction | Failure]) -> pd.DataFrame:
    """A data frame with one row per result and the columns of the CSV (`to_row`); absent values are missing.

    Raises MissingExtraError without pandas.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError("pandas", "pandas", "a data frame of results") from error
    return pd.DataFrame.from_records([result.to_row() for result in results], columns=list(COLUMNS))
