from __future__ import annotations

import json
import os
import pty
import re
from pathlib import Path

import pytest

from seqtool.cli.generate import _token_rows
from tests.conftest import Command, Start
from tests.text.small_byte_level import small_vocabulary


def records(seqtool: Command, *arguments: object, stdin: bytes = b"") -> list[dict]:
    result = seqtool("generate", *arguments, "--json", stdin=stdin)
    assert result.returncode == 0, result.stderr.decode()
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture(scope="module")
def word_run(seqtool: Command, prose_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(seqtool, prose_file, tmp_path_factory, "--vocab-type", "word", "--vocab-size", 800)


@pytest.fixture(scope="module")
def piece_run(seqtool: Command, prose_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(
        seqtool, prose_file, tmp_path_factory, "--vocab-type", "bpe", "--vocab-size", 900, "--model", "transformer"
    )


@pytest.fixture(scope="module")
def byte_run(seqtool: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It writes characters of two and three bytes."""
    text = tmp_path_factory.mktemp("text") / "text"
    text.write_text("naïve café 日本語 élève œuvre\n" * 300)
    return trained(seqtool, text, tmp_path_factory, "--vocab-type", "byte", "--steps", 150)


def trained(seqtool: Command, text: Path, tmp_path_factory: pytest.TempPathFactory, *more: object) -> Path:
    path = tmp_path_factory.mktemp("runs") / "run"
    words = ["--hidden", 32, "--layers", 1, "--seed", 3, "-q", *([] if "--steps" in more else ["--steps", 25])]
    result = seqtool("train", text, "-o", path, *words, *more)
    assert result.returncode == 0, result.stderr.decode()
    return path


@pytest.mark.parametrize("prompt", ["The", "The value", "The value ", "if\n", "", "\t", "the unseenword"])
@pytest.mark.parametrize("way", [["--seed", 1], ["--beam", 3]], ids=str)
def test_words_are_written_behind_a_prompt_as_in_a_text(seqtool: Command, word_run: Path, prompt: str, way: list):
    (one,) = records(seqtool, word_run, "--prompt", prompt, "--max-tokens", 8, *way)
    text = one["text"]
    first = one["written"][0]["token"]
    assert text.startswith(first.removeprefix(" ") if not prompt or prompt[-1].isspace() else first)
    assert one["tokens"] == len(one["written"]) == 8
    plain = seqtool("generate", word_run, "--prompt", prompt, "--max-tokens", 8, "-q", *way).stdout.decode()
    assert plain == (prompt + text).removesuffix("\n") + "\n"
    assert "<unk>" not in text
    assert not re.search("[^\\s] ?\\n? {2,}[^\\s]", text)


def test_unknown_words_are_written_only_if_asked_for(seqtool: Command, word_run: Path):
    for way in (
        ["--seed", 1, "-n", 4],
        ["--seed", 1, "--repetition-penalty", 1.1],
        ["--beam", 2, "--repetition-penalty", 3],
    ):
        without, allowed = (
            records(seqtool, word_run, "--prompt", "The", "--max-tokens", 60, *way, *more)
            for more in ([], ["--allow-unk"])
        )
        assert not any("<unk>" in one["text"] for one in without)
        assert any("<unk>" in one["text"] for one in allowed)
    (one,) = records(seqtool, word_run, "--constrain", "the( <unk>){3}", "--allow-unk")
    assert one["text"] == "the <unk> <unk> <unk>"
    assert seqtool("generate", word_run, "--constrain", "the <unk>").returncode == 2


def test_every_token_comes_with_its_log_p_and_the_likeliest(seqtool: Command, small_run: Path, piece_run: Path):
    for run in (small_run, piece_run):
        for way in (["--seed", 2, "-n", 3], ["--greedy"], ["--beam", 3, "-n", 2]):
            for one in records(seqtool, run, "--prompt", "The value", "--max-tokens", 9, "--alternatives", 3, *way):
                assert sum(place["log_p"] for place in one["written"]) == pytest.approx(-one["nats"], abs=1e-3)
                assert "".join(place["token"] for place in one["written"]).endswith(one["text"])
                for place in one["written"]:
                    likeliest = [other["log_p"] for other in place["alternatives"]]
                    assert likeliest == sorted(likeliest, reverse=True)
                    assert len(likeliest) == 3
                    own = [other for other in place["alternatives"] if other["id"] == place["id"]]
                    assert own == [] or own[0]["log_p"] == pytest.approx(place["log_p"], abs=1e-4)
                    if way == ["--greedy"]:
                        assert own


def test_no_character_is_cut(seqtool: Command, byte_run: Path):
    way = ["--prompt", "caf", "--seed", 2, "--temperature", 0.1]
    (whole,) = records(seqtool, byte_run, *way, "--max-tokens", 30)
    assert "\ufffd" not in whole["text"]
    for most in (1, 2, 4, 5, 7, 8, 10):
        expected = whole["text"].encode()[:most].decode(errors="ignore")
        (one,) = records(seqtool, byte_run, *way, "--max-tokens", most, "--stop", "never")
        assert (one["text"], one["tokens"], len(one["written"])) == (expected, *[len(expected.encode())] * 2)
        shown = seqtool("generate", byte_run, *way, "--max-tokens", most, "-q").stdout
        assert shown.decode() == f"caf{expected}\n"
        (found,) = records(seqtool, byte_run, "--prompt", "caf", "--beam", 2, "--max-tokens", most)
        assert found["tokens"] == len(found["text"].encode())


def test_a_text_that_ends_its_line_gets_no_other_newline(seqtool: Command, prose: str, tmp_path: Path):
    (tmp_path / "text").write_text("".join(f"line {number % 7}\n" for number in range(900)))
    made = ["--vocab-type", "char", "--hidden", 32, "--steps", 60, "--document", "line", "-q"]
    assert not seqtool("train", tmp_path / "text", "-o", tmp_path / "run", *made).returncode
    shown = seqtool("generate", tmp_path / "run", "-n", 9, "--seed", 1, "--max-tokens", 200, "-q").stdout
    assert shown.count(b"\n") == 9
    assert b"\n\n" not in shown
    empty = seqtool("generate", tmp_path / "run", "--prompt", "a\\n", "--max-tokens", 0, "-n", 2, "-q").stdout
    assert empty == b"a\na\n"
    assert seqtool("generate", tmp_path / "run", "--max-tokens", 0, "-n", 2, "-q").stdout == b"\n\n"


@pytest.mark.parametrize("through", ["-", "--prompts"])
def test_prompts_are_read_from_lines_whatever_ends_them(
    seqtool: Command, small_run: Path, tmp_path: Path, through: str
):
    content = b"The\r\n\r\nA \\n line\nend\rless\r"
    (tmp_path / "prompts").write_bytes(content)
    source = ["-"] if through == "-" else ["--prompts", tmp_path / "prompts"]
    found = records(seqtool, small_run, *source, "--max-tokens", 2, "--seed", 1, stdin=content)
    assert [one["prompt"] for one in found] == ["The", "", "A \\n line", "end\rless\r"]
    missing = seqtool("generate", small_run, "--prompts", tmp_path / "none")
    assert (missing.returncode, b"does not exist" in missing.stderr) == (3, True)


def test_escapes_stand_for_what_is_hard_to_type(seqtool: Command, small_run: Path):
    escaped = r"a\n\t\\\x41\u00e9\U0001f600\xc3\xa9"
    (one,) = records(seqtool, small_run, "--prompt", escaped, "--max-tokens", 2)
    assert one["prompt"] == "a\n\t\\A\u00e9\U0001f600\u00e9"
    (one,) = records(seqtool, small_run, "--prompt", escaped, "--max-tokens", 2, "--no-escapes")
    assert one["prompt"] == escaped
    found = records(seqtool, small_run, "-n", 4, "--seed", 1, "--max-tokens", 300, "--stop", r"\n", "--ban", r"\x65")
    assert not any("\n" in one["text"] or "e" in one["text"] for one in found)
    literal = records(seqtool, small_run, "-n", 4, "--seed", 1, "--max-tokens", 99, "--stop", r"\n", "--no-escapes")
    assert any("\n" in one["text"] for one in literal)


@pytest.mark.parametrize("way", [["--seed", 1, "-n", 4], ["--greedy"], ["--beam", 3, "-n", 2]], ids=str)
def test_rules_hold_for_every_vocabulary_and_way(
    seqtool: Command, small_run: Path, word_run: Path, piece_run: Path, way: list
):
    for run in (small_run, word_run, piece_run):
        rules = ["--ban", "the", "--ban", "\n", "--favour", "of a=3", "--min-tokens", 12, "--max-tokens", 30]
        for one in records(seqtool, run, "--prompt", "The va", *rules, "--no-repeat-ngram", 4, *way):
            assert "the" not in one["text"]
            assert "\n" not in one["text"]
            assert one["tokens"] >= 12
        for one in records(seqtool, run, "--prompt", "This", "--stop", "e", "--keep-stop", "--min-tokens", 2, *way):
            assert one["text"].endswith("e") == (one["stopped_by"] == "stop")
            assert one["tokens"] >= 2
        pattern = "( (the|of|is|a)){2,4}" if run == word_run else "( (the|of|is|a)){2,4}[.]"
        for one in records(seqtool, run, "--prompt", "This", "--constrain", pattern, "--ban", "the the", *way):
            assert re.fullmatch(pattern, one["text"])
            assert "the the" not in one["text"]


def test_a_prompt_may_end_inside_a_word_or_with_a_space(seqtool: Command, piece_run: Path):
    prompts = ["The val", "The value ", "The", ""]
    lines = "".join(f"{prompt}\n" for prompt in prompts).encode()
    settings = ["-n", 4, "--max-tokens", 5, "--seed", 2]
    together = records(seqtool, piece_run, "-", *settings, stdin=lines)
    small = records(seqtool, piece_run, "-", *settings, "--batch-size", 3, stdin=lines)
    assert [one["text"] for one in small] == [one["text"] for one in together]
    assert any(one["written"][0]["token"].startswith((" va", "val")) for one in together[:4])
    assert any(one["written"][0]["token"].startswith(" ") and not one["text"].startswith(" ") for one in together[4:8])
    plain = seqtool("generate", piece_run, "--prompt", prompts[0], *settings, "-q").stdout.decode()
    assert plain == "".join((prompts[0] + one["text"]).removesuffix("\n") + "\n" for one in together[:4])
    for one in records(seqtool, piece_run, "--prompt", "The value ", *settings, "--no-heal"):
        assert "".join(place["token"] for place in one["written"]) == one["text"]


@pytest.mark.slow
def test_a_beam_until_the_end_is_bounded(seqtool: Command, word_run: Path, monkeypatch: pytest.MonkeyPatch):
    result = seqtool("generate", word_run, "--beam", 1, "--until-end", "--json", "--ban", "\n")
    (one,) = [json.loads(line) for line in result.stdout.splitlines()]
    assert one["tokens"] == 4096
    assert b"does not end within 4,096 tokens" in result.stderr


def test_a_prompt_that_is_not_utf8_is_refused(seqtool: Command, small_run: Path):
    words = ["generate", small_run, "--max-tokens", 1, "-q", "--prompt", "ab\udcff"]  # a byte 0xff on a command line
    result = seqtool(*words)
    assert (result.returncode, result.stdout) == (2, b"")
    assert b"--prompt is not UTF-8: byte 0xff at offset 2" in result.stderr
    assert seqtool(*words, "--errors", "replace").stdout.startswith("ab\ufffd".encode())
    assert seqtool(*words[:-2], "--stop", "\udcff").returncode == 2


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
    (["--greedy", "--temperature", "0.8"], "--greedy takes the likeliest and draws nothing: leave out --temperature"),
    (["--beam", "2", "--temperature", "2", "--top-p", "0.5"], "leave out --temperature and --top-p"),
    (["--temperature", "0", "--top-k", "3"], "--temperature 0 takes the likeliest"),
    (["--length-penalty", "0.5"], "--length-penalty compares the texts of a --beam"),
    (["--beam", "2", "--batch-size", "3"], "--batch-size: --beam writes for one prompt at a time"),
    (["--errors", "replace"], "--errors replace is for a prompt"),
    (["--prompt", "a", "--prompts", "b"], "give --prompt or --prompts, not both"),
    (["-", "--prompts", "b"], "give - or --prompts, not both"),
    (["--jsonl-field", "t"], "--jsonl-field: --adapt-to alone reads texts; leave that out"),
    (["--keep-stop"], "--keep-stop shows the text of a --stop"),
    (["--alternatives", "3"], "--alternatives are shown by --json"),
    (["--ban", ""], "--ban needs some text"),
    (["--favour", "a"], "write TEXT=B"),
    (["--favour", "a=nan"], "write TEXT=B"),
    (["--favour", "a=0"], "write TEXT=B"),
    (["--favour", "=1"], "write TEXT=B"),
    (["--min-tokens", "4097", "--beam", "2", "--until-end"], "--min-tokens 4097 is more than the 4,096 tokens that --beam"),
    (["--min-tokens", "9", "--max-tokens", "8"], "--min-tokens 9 is more than --max-tokens 8"),
    (["--min-tokens", "9", "--constrain", "a*"], "--min-tokens could keep a text from matching --constrain"),
    (["--no-repeat-ngram", "2", "--constrain", "a*"], "--no-repeat-ngram could keep a text from matching"),
    (["--constrain", "ab", "--ban", "b"], "matches no text that this vocabulary can spell without --ban's"),
    (["--no-heal", "--prompt", "a"], "--heal and --no-heal are for vocabularies of pieces of words"),
    (["--no-heal"], "--heal and --no-heal are for a prompt"),
    (["--prompt", r"\d"], "--prompt has a backslash before 'd', which is no escape"),
    (["--stop", r"a\x4"], "--stop has a backslash before 'x'"),
    (["--ban", r"\ud800"], "--ban has a backslash before 'u'"),
    (["--favour", "a\\=2"], "--favour has a backslash before ''"),
    (["--prompt", r"\xff"], "--prompt is not UTF-8"),
])  # fmt: skip
def test_wrong_usage_is_told(seqtool: Command, small_run: Path, arguments: list[str], message: str):
    result = seqtool("generate", small_run, *arguments, "-q")
    assert (result.returncode, result.stdout) == (2, b"")
    assert message in result.stderr.decode()
    assert result.stderr.count(b"\n") == 1


def test_escapes_in_generated_text_are_shown_on_a_terminal(start: Start, small_run: Path):
    ours, theirs = pty.openpty()
    words = ["generate", small_run, "--prompt", "\x1b[2J", "--constrain", "\x1b\\[31mred", "-q", "--seed", "1"]
    assert start(*words, stdout=os.ttyname(theirs)).wait() == 0
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


def test_a_sample_that_its_healed_token_finishes_is_written(seqtool: Command, prose_file: Path, tmp_path: Path):
    """Nothing was, for its whole batch."""
    run = tmp_path / "run"
    trained = seqtool(
        "train", prose_file, "-o", run, "--vocab-type", "bpe", "--hidden", 16, "--steps", 5, "--batch-size", 4, "-q"
    )
    assert trained.returncode == 0, trained.stderr.decode()
    for more in (["--max-tokens", 1], ["--constrain", ""]):
        made = seqtool("generate", run, "--prompt", "The valu", "-n", 3, "--json", "--seed", 1, "-q", *more)
        assert made.returncode == 0, made.stderr.decode()
        assert len(made.stdout.splitlines()) == 3, more
    alternatives = seqtool("generate", run, "--max-tokens", 1, "--alternatives", 100_000, "--json", "-q", "--seed", 1)
    assert b"Infinity" not in alternatives.stdout


def test_where_there_is_no_unknown_token_none_is_left_out():
    vocabulary = small_vocabulary(special=[], begin_id=279)
    rows = _token_rows(vocabulary, allow_unk=False)
    assert rows[-1] == b"<|endoftext|>"
    assert rows[279] == b""
