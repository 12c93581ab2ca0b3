"""The example distribution, installed through its entry point, unlearns by name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import unlearnkit

ROOT = Path(unlearnkit.__file__).parents[1]


def test_it_unlearns_by_name(tmp_path: Path, tiny_model_dir: Path, forget_file: Path, retain_file: Path):
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(site), str(ROOT / "plugins" / "unlearnkit-example")], check=True)
    words = (
        f"--model {tiny_model_dir} --forget {forget_file} --retain {retain_file} --plugin clipped-graddiff -o cap=2.5"
    )
    command = [sys.executable, "-m", "unlearnkit", "unlearn", *words.split(), "--max-steps", "2", "--format", "json"]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}
    ran = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert (found["algorithm"], found["steps"]) == ("clipped-graddiff", 2)
    # Every sample of an untrained model is beyond the cap, so that is what the term says.
    assert found["terms"]["forget"] == -2.5
    assert (tmp_path / found["model_dir"] / "model.safetensors").is_file()
