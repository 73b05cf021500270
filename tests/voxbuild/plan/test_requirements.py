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
    check_room(tmp_path, NEEDED)


def test_a_full_disk_is_reported(machine, tmp_path):
    machine(499_000_000, 10**10)
    said = "500 MB are needed, 499 MB are free on its disk; make room and run it again"
    with pytest.raises(ConvertError, match=re.escape(f"{tmp_path}: {said}")):
        check_room(tmp_path, NEEDED)


def test_several_conversions_in_one_read_need_the_disk_of_all_and_the_process_once(monkeypatch):
    monkeypatch.setattr(requirements, "cores", lambda: 8)
    process = requirements.BASE + 8 * requirements.ROWS
    alone = Estimate(memory=process + 7, disk=100, seconds=1)
    assert requirements.together([alone, alone, alone]) == Estimate(process + 21, 300, 3)


def test_too_little_memory_is_reported(machine, tmp_path):
    machine(10**12, 199_000_000)
    with pytest.raises(ConvertError, match="200 MB are needed, 199 MB are free of memory; close a program"):
        check_room(tmp_path, NEEDED)
