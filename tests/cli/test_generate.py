from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Command, Start


def records(seqtool: Command, *arguments: object, stdin: bytes = b"") -> list[dict]:
    result = seqtool("generate", *arguments, "--json", stdin=stdin)
    assert result.returncode == 0, result.stderr.decode()
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_prompts_text_is_the_same_alone_and_among_others(seqtool: Command, small_run: Path):
    prompts = ["The", "", "A module", "If this", "the value of the thing that is longer than the others"] * 6
    settings = [small_run, "-", "--seed", 4, "--max-tokens", 40]
    together = records(seqtool, *settings, stdin="".join(prompt + "\n" for prompt in prompts).encode())
    assert [one["prompt"] for one in together] == prompts
    for prompt in prompts[:5]:
        (alone,) = records(seqtool, small_run, "--prompt", prompt, "--seed", 4, "--max-tokens", 40)
        found = [one for one in together if one["prompt"] == prompt]
        assert {one["text"] for one in found} == {alone["text"]}
    several = records(seqtool, small_run, "--prompt", "The", "-n", 3, "--seed", 4, "--max-tokens", 40)
    assert len({one["text"] for one in several}) == 3
    assert several[0]["text"] == together[0]["text"]


def test_a_prompt_is_answered_before_the_next_is_written(start: Start, small_run: Path):
    process = start("generate", small_run, "-", "--max-tokens", 5, "--seed", 1)
    for prompt in (b"The", b"A"):
        process.stdin.write(prompt + b"\n")
        assert process.stdout.readline().startswith(prompt)
    process.stdin.close()
    assert process.wait(20) == 0


@pytest.mark.parametrize("more", [[], ["--greedy"], ["--beam", 3], ["--temperature", 3]])
def test_every_text_matches_the_constraint(seqtool: Command, small_run: Path, more: list):
    pattern = r"[A-Z][a-z]{2,9}( [a-zéß]{1,6}){1,4}[.!]\n"
    found = records(
        seqtool, small_run, "-n", 6 if "--greedy" not in more else 1, "--constrain", pattern, "--seed", 1, *more
    )
    for one in found:
        assert re.fullmatch(pattern, one["text"]), one
        assert one["stopped_by"] == "match"


def test_beams_are_the_best_first(seqtool: Command, small_run: Path):
    found = records(seqtool, small_run, "--prompt", "The ", "--beam", 6, "-n", 4, "--max-tokens", 12)
    scores = [one["nats"] / one["tokens"] for one in found]
    assert scores == sorted(scores)
    assert len({one["text"] for one in found}) == 4
    (sampled,) = records(seqtool, small_run, "--prompt", "The ", "--max-tokens", 12, "--seed", 2)
    assert found[0]["nats"] < sampled["nats"]


def test_fewer_texts_than_asked_for_go_with_their_own_prompts(seqtool: Command, small_run: Path):
    wanted = ["-", "--beam", 5, "-n", 5, "--constrain", "x|y"]
    found = records(seqtool, small_run, *wanted, stdin=b"aa\nbb\ncc\n")
    assert [one["prompt"] for one in found] == ["aa"] * 2 + ["bb"] * 2 + ["cc"] * 2
    assert all({one["text"] for one in found[start : start + 2]} == {"x", "y"} for start in (0, 2, 4))
    none = records(seqtool, small_run, "-", "--beam", 2, "-n", 2, "--max-tokens", 0, stdin=b"aa\nbb\n")
    assert [(one["prompt"], one["text"]) for one in none] == [("aa", ""), ("bb", "")]


def test_prompts_that_are_not_utf8_can_be_read(seqtool: Command, small_run: Path):
    assert seqtool("generate", small_run, "-", "--max-tokens", 1, stdin=b"ok\nbad\xff\n").returncode == 3
    found = records(seqtool, small_run, "-", "--max-tokens", 1, "--errors", "replace", stdin=b"ok\nbad\xff\n")
    assert [one["prompt"] for one in found] == ["ok", "bad\ufffd"]


@pytest.mark.parametrize("more", [["--beam", 2], ["--seed", 5]])
def test_a_stop_string_is_never_shown(seqtool: Command, small_run: Path, more: list):
    found = records(seqtool, small_run, "-n", 2, "--stop", "th", "--stop", " a", "--max-tokens", 200, *more)
    assert more[0] == "--beam" or {one["stopped_by"] for one in found} == {"stop"}
    assert not any("th" in one["text"] or " a" in one["text"] for one in found)


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_fewer_bits_write_text_of_about_the_same_probability(seqtool: Command, small_run: Path, precision: str):
    exact, rounded = (
        sum(one["nats"] for one in records(seqtool, small_run, "-n", 8, "--seed", 1, "--precision", name))
        for name in ("fp32", precision)
    )
    assert rounded == pytest.approx(exact, rel=0.1)


@pytest.mark.parametrize(("arguments", "message"), [
    (["--constrain", "(a"], "missing )"),
    (["--constrain", "(?=a)b"], "lookahead"),
    (["--constrain", "a{600}"], "--max-tokens 500"),
    (["--constrain", "a+", "--stop", "b"], "--stop could end"),
    (["--until-end", "--max-tokens", "5"], "give one of them"),
    (["--beam", "2", "--top-p", "0.5"], "--beam takes the likeliest"),
    (["--greedy", "--beam", "2"], "--greedy and --beam"),
    (["--precision", "int4"], "choose from fp32, bf16, int8"),
    (["--device", "gpu"], "choose from auto, cpu"),
])  # fmt: skip
def test_wrong_usage_is_told(seqtool: Command, small_run: Path, arguments: list[str], message: str):
    result = seqtool("generate", small_run, *arguments, "-q")
    assert (result.returncode, result.stdout) == (2, b"")
    assert message in result.stderr.decode()
    assert result.stderr.count(b"\n") == 1


def test_escapes_in_generated_text_are_shown_on_a_terminal(small_run: Path):
    ours, theirs = pty.openpty()
    words = ["generate", small_run, "--prompt", "\x1b[2J", "--constrain", "\x1b\\[31mred", "-q", "--seed", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-m", "seqtool", *words], stdout=theirs, cwd=ROOT, env=environment)
    assert process.wait(30) == 0
    os.close(theirs)
    shown = os.read(ours, 1000)
    os.close(ours)
    assert b"\x1b" not in shown
    assert b"\\x1b[2J" in shown
    assert b"\\x1b[31mred" in shown


def test_generate_streams_to_a_reader_that_goes_away(shell: Command, small_run: Path):
    result = shell(f"seqtool generate {small_run} --max-tokens 100000 | head -c 100 | wc -c")
    assert result.stdout.strip() == b"100"
    assert result.returncode == 141
    assert result.stderr.startswith(b"seed ")
    assert result.stderr.count(b"\n") == 1


def test_generate_is_the_same_for_a_seed_and_ends_at_a_stop(seqtool: Command, small_run: Path):
    first, again = (
        seqtool("generate", small_run, "--seed", 5, "--prompt", "The ", "--max-tokens", 80).stdout for _ in range(2)
    )
    assert first == again
    assert first.startswith(b"The ")
    stopped = seqtool("generate", small_run, "--seed", 5, "--prompt", "The ", "--stop", "e", "--no-echo", "--json")
    record = json.loads(stopped.stdout)
    assert record["stopped_by"] == "stop"
    assert "e" not in record["text"]
    assert first.decode().removeprefix("The ").startswith(record["text"])


def test_prompts_from_lines_come_out_in_order(seqtool: Command, small_run: Path):
    prompts = ["one", "a longer prompt \t with 🙂 ☃ characters never seen", "", "three"]
    results = []
    for batch_size in (1, 64):
        output = seqtool(
            "generate", small_run, "-", "-n", 2, "--json", "--seed", 1, "--max-tokens", 12, "--batch-size", batch_size,
            stdin="\n".join(prompts).encode(),
        )  # fmt: skip
        results.append([json.loads(line) for line in output.stdout.decode().splitlines()])
    assert [record["prompt"] for record in results[0]] == [prompt for prompt in prompts for _ in range(2)]
    assert [record["text"] for record in results[0]] == [record["text"] for record in results[1]]
