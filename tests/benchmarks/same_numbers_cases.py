"""The commands that same_numbers.py runs, and the texts that they read: every architecture, and every setting once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

VOCABULARIES, STORES, RUNS, QUESTIONS = range(4)  # those of one stage need files of the stages before it alone


class Step(NamedTuple):
    """One command, run in the folder of the record: what it says and what it writes to `-o` are recorded."""

    case: str
    what: str
    command: str
    stage: int = QUESTIONS
    stdin: str = ""
    """The file that it reads as standard input."""
    stdout: str = ""
    """The file that keeps its standard output for a later step."""
    copied: str = ""
    """A run that is copied to where `-o` points, so that the command changes a copy."""


EQUAL = [(f"resume {model}", "whole", f"resume {model}", "resumed") for model in ("lstm", "transformer")]
"""Case and step, twice: both must have made the same weights."""


# The texts.

SYLLABLES = "ba be chi do en fa go hu il ja ka lo mi no or pe qui ra so tu un ve wa xe ya zu"
ODD_WORDS = "naïve Ægir 漢字 καλός 🙂 e\u0301 Straße 1984 x=3.14 (so) don't --flag"
ODD_LINES = "\n  two  spaces\tand a tab\r\nunseen: ☃ ₿ 𝔘\n\n\u2581\nthe end without a newline"
PROMPTS = "The \nba\n\n1984 and 漢\n"
GIVEN = "It was said that "


def texts() -> dict[str, str]:
    """File name -> text: some with a structure to learn, some odd ones, and questions to vectors."""
    words = _words(random.Random(0), 700)
    return {
        "train.txt": _documents(random.Random(1), words, 60_000),
        "more.txt": _documents(random.Random(2), words, 8_000),
        "held.txt": _documents(random.Random(3), words, 8_000),
        "odd.txt": ODD_LINES,
        "prompts.txt": PROMPTS,
        "pairs.tsv": "".join(f"{a}\t{b}\t{index}\n" for index, (a, b) in enumerate(zip(words, words[5:40], strict=False))),
        "analogies.txt": "".join(f"{' '.join(words[index : index + 4])}\n" for index in range(20)),
    }  # fmt: skip


def _words(draw: random.Random, count: int) -> list[str]:
    """Made-up words, the shortest first, a few of them odd."""
    syllables = SYLLABLES.split()
    plain = {"".join(draw.choice(syllables) for _ in range(1 + index // 150)) for index in range(count)}
    words = sorted(plain, key=lambda word: (len(word), word))
    for index, word in enumerate(ODD_WORDS.split()):
        words.insert(7 + 11 * index, word)
    return words


def _documents(draw: random.Random, words: list[str], characters: int) -> str:
    """Documents with blank lines between them: a word depends on the one before, and frequencies fall as 1 / rank."""
    weights = [1 / (rank + 3) for rank in range(len(words))]
    text, length, place = [], 0, 0
    while length < characters:
        line = []
        for _ in range(draw.randint(3, 14)):
            place = (place * 7 + draw.randint(0, 3)) % len(words) if draw.random() < 0.6 else draw.choices(range(len(words)), weights)[0]  # fmt: skip
            line.append(words[place])
        ends = "\n\n" if draw.random() < 0.06 else "\n"
        text.append(" ".join(line).capitalize() + draw.choice([".", ".", "?", ", and"]) + ends)
        length += len(text[-1])
    return "".join(text)


# The commands.

RECURRENT = ("rnn", "gru", "lstm")
ARCHITECTURES = (*RECURRENT, "ffn", "transformer")
MODES = {
    "stateful": "--stateful --across-documents",
    "stateless": "--stateless --across-documents",
    "within documents": "--within-documents",
}
FULL_ROUND = ("lstm fp32 stateful", "transformer fp32 stateless")
"""The runs that every way of scoring and generating is tried on."""


def steps() -> list[Step]:
    """All of them."""
    return [
        *_vocabularies(), *_stores(), *_vectors(), *_architectures(), *_variants(), *_optimizers(), *_data(), *_resumed(),
        *_scoring(), *_generation(), *_described(),
    ]  # fmt: skip


def train(
    model: str,
    flags: str,
    name: str,
    *,
    vocabulary: str = "--vocab bpe.model",
    data: str = "train.txt --document blank-line",
    length: str = "--steps 12",
) -> str:
    """A short seeded training of a small model, with `flags` for what is special about it."""
    width = "--hidden 32 --context 16" if model == "transformer" else "--hidden 24"
    width += " --bptt 16" if model in RECURRENT else " --context 6" if model == "ffn" else ""
    return (
        f"train {data} -o '{name}.run' --model {model} {width} --layers 2 --batch-size 8 {length} --eval-every 4 "
        f"--seed 1 --device cpu --compile off --precision fp32 {vocabulary} {flags} --json -q"
    )


def trained(case: str, model: str, flags: str = "", **others: str) -> Step:
    """The step that trains; of a flag that is there twice the last one counts."""
    return Step(case, "train", train(model, flags, case, **others), RUNS)


def scored(case: str, flags: str = "--document blank-line", text: str = "held.txt", what: str = "eval") -> Step:
    """The step that scores a text with a case's run."""
    return Step(case, what, f"eval '{case}.run' {text} --device cpu --json -q {flags}")


def written(case: str, flags: str, what: str) -> Step:
    """The step that generates from a case's run."""
    prompt = "" if "--prompt" in flags else "--prompts prompts.txt"
    length = "" if "--max-tokens" in flags or "--until-end" in flags else "--max-tokens 24"
    return Step(case, what, f"generate '{case}.run' --device cpu --seed 5 --json -q {prompt} {length} {flags}")


GREEDY, SAMPLED, BEAM = "--greedy", "-n 2", "--beam 3 -n 2"


def _vocabularies() -> Iterator[Step]:
    kinds = {
        "bpe": "--type bpe --size 420",
        "unigram": "--type unigram --size 420",
        "char": "--type char",
        "byte": "--type byte",
        "word": "--type word --min-count 3",
        "folded": "--type bpe --size 420 --lowercase --normalize nfkc",
        "symbols": "--type bpe --size 420 --symbols <a>,don't --split-digits",
        "by the text": "",
    }
    for name, flags in kinds.items():
        case, file = f"vocabulary {name}", f"{name.replace(' ', '-')}.model"
        quoted = flags.replace("<a>,don't", '"<a>,don\'t"')
        yield Step(case, "vocab", f"vocab train.txt -o {file} {quoted} --json -q", VOCABULARIES)
        yield Step(case, "encode", f"encode odd.txt held.txt --vocab {file} -q", STORES, stdout=f"{file}.ids")
        yield Step(case, "decode", f"decode - --vocab {file}", stdin=f"{file}.ids")
    yield Step("vocabulary bpe", "pieces", "encode odd.txt --vocab bpe.model --pieces -q")
    yield Step("vocabulary bpe", "info", "info bpe.model --json")


def _stores() -> Iterator[Step]:
    for name, flags in {"bpe": "--document blank-line", "word": ""}.items():
        case = f"store {name}"
        yield Step(case, "encode", f"encode train.txt --vocab {name}.model -o {name}.store {flags} --json -q", STORES)
        yield Step(case, "info", f"info {name}.store --json")
    yield Step(
        "store bpe", "append", "encode more.txt --vocab bpe.model -o appended.store --append --json -q", copied="bpe.store"
    )  # fmt: skip


def _vectors() -> Iterator[Step]:
    kinds = {
        "skipgram": "--method skipgram --epochs 2",
        "cbow": "--method cbow --epochs 2",
        "glove": "--method glove --epochs 3",
        "svd": "--method svd",
        "one-hot": "--method one-hot",
        "subword": "--method skipgram --subword --ngram-rows 500 --epochs 1",
        "cbow subword": "--method cbow --subword --ngram-rows 500 --epochs 1",
        "of pieces": "--method skipgram --epochs 1 --vocab bpe.model",
        "settings": "--method cbow --epochs 1 --window 2 --negative 3 --noise-power 0.5 --subsample 0 --lr 0.1 --lowercase",
    }
    for name, flags in kinds.items():
        case, file = f"vectors {name}", f"'{name}.vectors'"
        settled = "" if name == "one-hot" else "--dim 16" if name == "svd" else "--dim 16 --device cpu"
        yield Step(case, "train", f"embed train train.txt -o {file} {settled} {flags} --seed 1 --json -q", STORES)
        yield Step(case, "nearest", f"embed nearest {file} ba '1984 un' en -n 5 --json")
        if "--subword" in flags:
            yield Step(case, "unseen", f"embed nearest {file} unbabelorum -n 5 --json")
    file = "skipgram.vectors"
    yield Step("vectors skipgram", "similarity", f"embed similarity {file} ba un --json")
    yield Step("vectors skipgram", "analogy", f"embed analogy {file} ba un do -n 5 --json")
    yield Step("vectors skipgram", "evaluate", f"embed evaluate {file} pairs.tsv analogies.txt --json")
    yield Step("vectors skipgram", "info", f"info {file} --json")
    for form in ("word2vec", "word2vec-binary", "glove"):
        yield Step("vectors skipgram", form, f"embed export {file} -o exported.{form} --format {form} -q", RUNS)
        yield Step("vectors skipgram", f"import {form}", f"embed import exported.{form} -o imported-{form}.vectors --format {form} --force -q")  # fmt: skip
    yield Step("vectors skipgram", "npy", f"embed export {file} -o exported.npy --force -q")
    for layer in ("input", "output"):
        yield Step(FULL_ROUND[0], f"vectors of its {layer}", f"embed from '{FULL_ROUND[0]}.run' -o its-{layer}.vectors --layer {layer} --force -q")  # fmt: skip


def _architectures() -> Iterator[Step]:
    for model in ARCHITECTURES:
        for precision in ("fp32", "bf16"):
            for mode, flags in MODES.items():
                case = f"{model} {precision} {mode}"
                yield trained(case, model, f"{flags} --precision {precision}")
                if model == "transformer" and mode == "stateful":
                    continue  # it was refused
                yield scored(case)
                yield written(case, GREEDY, "greedy")
                yield written(case, SAMPLED, "sampled")
        case = f"{model} fp32 within documents"
        yield scored(case, "--per line", what="per line")
        yield written(case, BEAM, "beam")
        yield written(case, f"{GREEDY} --precision int8", "greedy int8")
        yield trained(f"{model} fp16", model, "--precision fp16")


def _variants() -> Iterator[Step]:
    """What changes a model: each is trained and scored; what is not only an initialisation, written with too."""
    recurrent = {
        "rnn relu identity": "--activation relu --init identity",
        "rnn sigmoid": "--activation sigmoid --init xavier",
        "rnn one-hot": "--input one-hot",
        "gru one-hot": "--input one-hot",
        "gru orthogonal": "--init orthogonal",
        "gru tied": "--tied --embed 16",
        "lstm one-hot": "--input one-hot",
        "lstm tied": "--tied --embed 24",
        "lstm tied width": "--tied --embed 16",
        "lstm xavier": "--init xavier --forget-bias 1",
        "lstm default init": "--init default",
        "lstm last hidden": "--last-hidden 16",
        "lstm one layer": "--layers 1 --dropout 0",
    }
    windows = {
        "ffn one-hot": "--input one-hot",
        "ffn sigmoid": "--activation sigmoid --init xavier",
        "ffn tied": "--tied --context 1",
        "transformer learned gelu": "--position learned --feedforward gelu",
        "transformer sinusoidal swiglu": "--position sinusoidal --feedforward swiglu",
        "transformer rope rms": "--position rope --norm rms",
        "transformer stem 1": "--stem 1 --heads 2",
        "transformer stem 4": "--stem 4 --init xavier",
        "transformer tied": "--tied --dropout-output 0.2",
        "transformer llama": "--stem 1 --norm rms --feedforward swiglu --dropout 0",
    }
    for case, flags in {**recurrent, **windows}.items():
        yield trained(case, case.split()[0], flags)
        yield scored(case)
        if "--init" not in flags:
            yield written(case, GREEDY, "greedy")


def _optimizers() -> Iterator[Step]:
    """What changes only how weights come about: each is trained, and its weights compared."""
    optimizers = ("sgd", "adam", "adamw", "adadelta", "adagrad", "rmsprop", "asgd", "nt-asgd", "adafactor", "muon")
    lstm = {
        **{f"optimizer {name}": f"--optimizer {name}" for name in optimizers},
        "nesterov": "--optimizer sgd --momentum 0.8 --nesterov --lr 0.5",
        "betas": "--beta1 0.8 --beta2 0.95 --weight-decay 0.2",
        "nt-asgd soon": "--optimizer nt-asgd --nonmonotone 1 --lr 20 --eval-every 1",
        "asgd soon": "--optimizer asgd --average-from 0.2 --lr 3",
        **{f"schedule {name}": f"--schedule {name}" for name in ("constant", "linear", "inverse-sqrt", "wsd", "step")},
        "schedule plateau": "--schedule plateau --decay-patience 1 --decay-factor 0.5 --lr 1 --eval-every 1",
        "warmup": "--warmup 5 --final-lr 0.2",
        "label smoothing": "--label-smoothing 0.1",
        "z-loss": "--z-loss 0.01",
        "ar and tar": "--ar 2 --tar 1",
        "ema": "--ema 0.9",
        "bptt advance": "--bptt-advance 5 --across-documents --stateful",
        "bptt jitter": "--bptt-jitter --across-documents --stateful",
        "bptt full": "--bptt full",
        "no dropout": "--dropout 0",
        "dropouts": "--dropout-input 0.3 --dropout-hidden 0.2 --dropout-output 0.1",
        "dropout embedding": "--dropout-embedding 0.2",
        "weight dropout": "--weight-dropout 0.4",
        "variational": "--variational --dropout 0.3",
        "clip value": "--clip-value 0.01 --clip-norm 0",
        "clip agc": "--clip-agc 0.01",
        "clip norm": "--clip-norm 0.05",
        "accumulate": "--accumulate 2",
        "accumulate bf16": "--accumulate 4 --precision bf16",
        "probe": "--probe-gradients 4",
        "early stop": "--early-stop 1 --lr 30 --eval-every 1",
    }
    for name, flags in lstm.items():
        yield trained(f"lstm {name}", "lstm", flags)
    yield trained("lstm epochs", "lstm", length="--epochs 0.5")
    others = {
        "transformer muon": "--optimizer muon",
        "transformer adafactor": "--optimizer adafactor",
        "transformer label smoothing": "--label-smoothing 0.1 --z-loss 0.01 --dropout-embedding 0.1",
        "transformer accumulate": "--accumulate 2",
        "ffn dropout": "--dropout 0.2 --label-smoothing 0.1",
        "gru weight dropout": "--weight-dropout 0.4 --variational",
        "rnn ar": "--ar 2 --tar 1 --bptt-jitter --stateful --across-documents",
    }
    for case, flags in others.items():
        yield trained(case, case.split()[0], flags)


def _data() -> Iterator[Step]:
    """What changes the text that a model reads."""
    for kind in ("unigram", "char", "byte", "word", "folded"):
        case = f"gru of {kind}"
        yield trained(case, "gru", "--batch-size 16 --bptt 32", vocabulary=f"--vocab {kind}.model")
        yield scored(case)
        yield written(case, SAMPLED, "sampled")
    yield trained("lstm own vocabulary", "lstm", vocabulary="--vocab-type bpe --vocab-size 400")
    yield trained("transformer own vocabulary", "transformer", vocabulary="--vocab-type word")
    for kind in ("bpe", "unigram"):
        yield trained(f"lstm sampling {kind}", "lstm", "--subword-sampling 0.1", vocabulary=f"--vocab {kind}.model")
    yield trained("gru store", "gru", vocabulary="", data="bpe.store")
    yield trained("gru weights of files", "gru", data="more.txt=3 train.txt --document blank-line")
    yield trained("gru validation text", "gru", "--valid held.txt")
    yield trained("gru lines", "gru", data="train.txt --document line")
    for name in ("", " frozen"):
        yield trained(f"lstm of vectors{name}", "lstm", f"--embed 16 --embeddings skipgram.vectors {'--freeze embedding' if name else ''}", vocabulary="")  # fmt: skip


def _resumed() -> Iterator[Step]:
    constant = "--schedule constant --warmup 0"
    for case, _, _, _ in EQUAL:
        model = case.split()[-1]
        yield trained(case, model, constant)._replace(what="whole")
        half = trained(f"half {model}", model, f"{constant} --steps 8")
        yield half._replace(case=case, what="half")
        again = trained(f"resumed {model}", model, f"{constant} --resume")
        yield again._replace(case=case, what="resumed", stage=QUESTIONS, copied=f"half {model}.run")


def _scoring() -> Iterator[Step]:
    for case in FULL_ROUND:
        for unit in ("line", "word", "token"):
            yield scored(case, f"--per {unit}", what=f"per {unit}")
        yield scored(case, "--per document --document blank-line", what="per document")
        yield scored(case, "--per line --carry", what="carried")
        yield scored(case, f"--per line --given '{GIVEN}'", what="given")
        yield scored(case, "--per token --bits --batch-size 3", text="more.txt", what="bits")
        yield scored(case, text="held.txt more.txt", what="two files")
        yield scored(case, "", text="odd.txt", what="odd")
        yield scored(case, "", text="bpe.store", what="store")
    window = FULL_ROUND[1]
    yield scored(window, "--context 12 --stride 3", what="stride")
    yield scored(window, "--context 16 --stride 16", what="no overlap")
    yield scored("gru of word", "--oov exclude", what="without unknowns")
    runs = " ".join(f"'{case}.run'" for case in FULL_ROUND)
    yield Step("runs compared", "eval", f"eval {runs} 'gru of byte.run' --text held.txt --device cpu --json -q")


def _generation() -> Iterator[Step]:
    ways = {
        "temperature": "--temperature 1.3",
        "top-k": "--top-k 3",
        "top-p": "--top-p 0.5 --min-p 0.05",
        "typical": "--typical 0.5",
        "beam alone": "--beam 5 --length-penalty 0.6 --prompt 'The '",
        "constrained": "--constrain '[a-z ]{5,30}[.]'",
        "constrained beam": "--beam 3 --constrain '(un|ba)[a-z ]{3,12}'",
        "ban": "--ban ba --ban un",
        "favour": "--favour ba=2 --favour ' =-1'",
        "repetition penalty": "--greedy --repetition-penalty 1.5",
        "no repeated n-gram": "--greedy --no-repeat-ngram 2",
        "not healed": "--greedy --no-heal",
        "alternatives": "--greedy --alternatives 3",
        "bf16": "--greedy --precision bf16",
        "int8": "--precision int8 --prompt 'un'",
        "stop": "--stop a --keep-stop --min-tokens 4",
        "until the end": "--constrain '[a-z]{3}' --until-end",
        "one at a time": "--batch-size 1 -n 2",
        "beyond the context": "--max-tokens 60",
        "no prompt": "-n 3 --prompt ''",
    }
    for case in FULL_ROUND:
        for what, flags in ways.items():
            yield written(case, flags, what)
        yield Step(case, "text", f"generate '{case}.run' --device cpu -q --seed 6 -n 2 --prompt 'Ba ' --max-tokens 80")


def _described() -> Iterator[Step]:
    for case in FULL_ROUND:
        yield Step(case, "info", f"info '{case}.run' --json")
    for model in ARCHITECTURES:
        yield Step("plans", model, f"train train.txt --model {model} --seed 1 --device cpu --dry-run --json -q")
    for recipe in ("awd-lstm-ptb", "nanogpt-shakespeare-char-cpu"):
        yield Step("plans", recipe, f"train train.txt --config {recipe} --seed 1 --device cpu --dry-run --json -q")
    yield Step("plans", "vectors", "train train.txt --embeddings skipgram.vectors --time 1m --device cpu --dry-run --json -q")  # fmt: skip
