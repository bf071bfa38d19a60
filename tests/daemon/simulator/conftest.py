"""How these tests call the stand-ins."""

from collections.abc import Callable

import httpx
import pytest

from daemon.simulator import Simulator


@pytest.fixture
def client() -> Callable[[Simulator], httpx.AsyncClient]:
    """Makes a client of the API with the right token."""

    def make(sim: Simulator) -> httpx.AsyncClient:
        headers = {"Authorization": f"Token {sim.token}"}
        return httpx.AsyncClient(base_url=sim.api_url, headers=headers, trust_env=False, timeout=10)

    return make
