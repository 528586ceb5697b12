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
    """One row a result, as `to_row` gives it, in the columns of the CSV; what a result does not have is missing.

    Raises MissingExtraError without pandas.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError("pandas", "pandas", "a data frame of results") from error
    return pd.DataFrame.from_records([result.to_row() for result in results], columns=list(COLUMNS))
