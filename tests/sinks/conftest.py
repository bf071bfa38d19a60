from pathlib import Path

import pytest

from tests.programs import Script, script_in


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return script_in(tmp_path)
