"""Which addresses may be called (S6); how names are looked up is in tests/acceptance/test_names.py."""

import asyncio
import socket

import pytest

from daemon.names import Names, NeverCalled, guarded_socket, require_callable

BARRED = [
    *("169.254.0.0", "169.254.169.254", "169.254.255.255", "100.100.100.200", "168.63.129.16"),
    *("fe80::", "fe80::1%eth0", "febf:ffff::1", "fd00:ec2::254", "fd20:ce::254"),
    *("::ffff:169.254.169.254", "::ffff:a9fe:1", "::169.254.169.254", "::ffff:0:169.254.169.254"),
    *("64:ff9b::169.254.169.254", "64:ff9b:1::a9fe:a9fe", "64:ff9b:1:ffff::a9fe:a9fe"),
    *("64:ff9b:1:a9fe:a9:fe00::", "64:ff9b:1:a9:fe:a9fe::", "64:ff9b:1:0:a9:fea9:fe00:0"),  # RFC 6052, 2.2
    *("2002:a9fe:a9fe::", "2002:6464:64c8:1::5", "2001:0:a9fe:a9fe::", "2001:0:808:808:0:0:5601:5601"),
    *("2001:db8::5efe:169.254.169.254", "fd00::200:5efe:a9fe:1"),
]
CALLABLE = [
    *("127.0.0.1", "::1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "100.100.100.100"),
    *("8.8.8.8", "169.253.255.255", "169.255.0.0", "2606:4700::1111", "fd00::1", "fec0::1", "fd00:ec2::253"),
    *("::ffff:127.0.0.1", "64:ff9b::8.8.8.8", "64:ff9b:1::808:808", "2002:808:808::1", "fd00::5efe:10.0.0.1"),
    *("2606:4700::a9fe:a9fe", "fd12::169.254.169.254"),  # it only ends so
]


@pytest.mark.parametrize("address", BARRED)
def test_s6_no_link_local_or_metadata_address_is_called_in_any_guise(address: str) -> None:
    with pytest.raises(NeverCalled):
        require_callable(address)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with pytest.raises(NeverCalled):
        guarded_socket((family, socket.SOCK_STREAM, 0, "", (address, 80)))


@pytest.mark.parametrize("address", CALLABLE)
def test_all_others_are_the_operators_to_choose(address: str) -> None:
    require_callable(address)


def test_a_name_that_leads_only_there_leads_nowhere() -> None:
    """Whatever spelling the system takes for one; no name is asked for."""
    with pytest.raises(NeverCalled):
        asyncio.run(Names().resolve("0xa9fea9fe", 80, socket.AF_UNSPEC))
    (found,) = asyncio.run(Names().resolve("0x7f.1", 80, socket.AF_UNSPEC))
    assert found["host"] == "127.0.0.1"
