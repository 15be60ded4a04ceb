"""The image's configuration, besides the bento."""

import re

import yaml
from bentoml.images import Image

from tests.harness import ROOT

DEPLOY = ROOT / "configs" / "deploy"


def test_bentoml_takes_it_and_adds_no_compiler():
    image = Image(**yaml.safe_load((DEPLOY / "image.yaml").read_text("utf-8")))
    assert not any("apt-get" in command for command in image.commands)


def test_the_installer_has_the_version_in_the_lock():
    used = re.findall(r"uv==[\d.]+", (DEPLOY / "image.yaml").read_text("utf-8"))
    locked = (ROOT / "configs" / "locks" / "dev.txt").read_text("utf-8").split()
    assert len(used) == 1
    assert used[0] in locked


def test_it_is_for_any_platform():
    text = (DEPLOY / "image.yaml").read_text("utf-8")
    assert not re.search("amd64|arm64|x86|aarch", text)
