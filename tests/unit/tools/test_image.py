# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import image
import pytest

BOOKWORM, TRIXIE = image.SUITES


def test_docker_and_podman_name_the_same_image_each_in_its_own_way():
    assert image.image_name(BOOKWORM, "docker") == "twinguard/debian12:base"
    assert image.image_name(TRIXIE, "podman") == "localhost/twinguard/debian13:base"


def test_the_recipe_changes_with_what_goes_into_the_image(monkeypatch: pytest.MonkeyPatch):
    before = image.recipe(BOOKWORM, None)
    assert image.recipe(BOOKWORM, None) == before
    assert image.recipe(TRIXIE, None) != before
    assert image.recipe(BOOKWORM, "registry.example/debian12") != before
    monkeypatch.setattr(image, "PACKAGES", (*image.PACKAGES, "vim-tiny"))
    assert image.recipe(BOOKWORM, None) != before


def test_a_registry_image_is_used_only_when_named_and_knows_the_release():
    assert image.registry_name({}, BOOKWORM) is None
    env = {"TWINGUARD_IMAGE": "registry.example/debian{release}-systemd"}
    assert image.registry_name(env, TRIXIE) == "registry.example/debian13-systemd"


def test_the_containerfile_installs_the_same_packages_as_the_mirror_build():
    text = image.containerfile(BOOKWORM)
    assert text.startswith("FROM docker.io/library/debian:bookworm-slim\n")
    assert " ".join(image.PACKAGES) in text
