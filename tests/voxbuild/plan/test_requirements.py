"""Disk and memory are checked before a build starts."""

import re
from types import SimpleNamespace

import psutil
import pytest

from voxbuild.errors import ConvertError
from voxbuild.plan import requirements
from voxbuild.plan.requirements import Estimate, check_room

NEEDED = Estimate(memory=200_000_000, disk=500_000_000, seconds=1)


@pytest.fixture
def machine(monkeypatch):
    """Give the machine so many bytes of free disk and memory."""

    def has(disk, memory):
        monkeypatch.setattr(requirements.shutil, "disk_usage", lambda folder: SimpleNamespace(free=disk))
        monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=memory))

    return has


def test_sufficient_disk_and_memory_pass(machine, tmp_path):
    machine(500_000_000, 200_000_000)
    check_room(tmp_path, NEEDED, 0)


def test_a_full_disk_is_reported(machine, tmp_path):
    machine(499_000_000, 10**10)
    said = "500 MB are needed, 499 MB are free on its disk; make room and run it again"
    with pytest.raises(ConvertError, match=re.escape(f"{tmp_path}: {said}")):
        check_room(tmp_path, NEEDED, 0)


def test_existing_bytes_reduce_the_space_needed(machine, tmp_path):
    machine(400_000_000, 10**10)
    check_room(tmp_path, NEEDED, 100_000_000)


def test_too_little_memory_is_reported(machine, tmp_path):
    machine(10**12, 199_000_000)
    with pytest.raises(ConvertError, match="200 MB are needed, 199 MB are free of memory; close a program"):
        check_room(tmp_path, NEEDED, 0)
