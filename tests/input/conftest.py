"""What the tables of bad input share: a ledger for each, in which no secret may be left."""

from collections.abc import Iterator

import pytest

from tests.input.asking import TOKEN, Table
from tests.input.sending import SECRETS_OF, Board
from tests.input.watch import nothing_stored


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    """Made once for all cases of a file: opening a database takes longer than a case."""
    folder = tmp_path_factory.mktemp("ledger")
    with Table(folder).laid() as table:
        yield table
        assert nothing_stored([TOKEN], folder)


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """The same for sinks, with a lane for each case."""
    folder = tmp_path_factory.mktemp("ledger")
    with Board(folder).laid() as board:
        yield board
        assert nothing_stored([secret for secrets in SECRETS_OF.values() for secret in secrets], folder)
