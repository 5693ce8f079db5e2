"""Runs as models of lm-evaluation-harness: `python -m seqtool.exchange.harness --model seqtool --model_args run=RUN`.

Whatever predicts the next token can be asked: a net, counts, a mixture. A text has the nats that `seqtool eval` gives
it. One that is longer than a model's context is read in the same windows, each behind `<s>` and moved on by half the
context, where other models of the harness move theirs on by all of it.

Shapes: T tokens, V vocabulary.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqtool.errors import SeqtoolError, UsageError
from seqtool.models.device import choose_device
from seqtool.models.predictor import advance
from seqtool.runs.loading import Run, load_run
from seqtool.scoring.scorer import Scorer, check_window, windows

NAME = "seqtool"
MOST_TOKENS = 256  # of a text that is written, where the harness does not say
READ_TOKENS = 1024  # at once, of a model that carries its state


class Asked:
    """The three questions of the harness, asked of a run."""

    def __init__(self, run: Run) -> None:
        self.run, self.model, self.vocabulary = run, run.model, run.vocabulary

    def nats(self, text: str) -> float:
        """Of a whole text, as `seqtool eval` scores it."""
        ids = self.vocabulary.encode(text)
        return float(Scorer(self.model).score(ids, [0]).sum(dtype=float)) if len(ids) else 0.0

    @torch.inference_mode()
    def continuation(self, context: str, text: str) -> tuple[float, bool]:
        """log p of a text after another, and whether each of its tokens is the likeliest.

        The two are encoded as one; white space at the end of the first counts to the second, and so does a token that
        holds the end of the first and the beginning of the second.
        """
        ids = self.vocabulary.encode(context + text).tolist()
        alone = self.vocabulary.encode(context.rstrip()).tolist()
        first = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(ids, alone, strict=False)))
        total, greedy = 0.0, True
        for log_p_TV, targets_T in self._told(ids, first):
            total += float(log_p_TV.gather(1, targets_T.unsqueeze(1)).sum(dtype=torch.float64))
            greedy = greedy and bool((log_p_TV.argmax(1) == targets_T).all())
        return total, greedy

    def _told(self, ids: Sequence[int], first: int) -> Iterator[tuple[Tensor, Tensor]]:
        """log p (T, V) of what comes at each place from `first` on, and what came there (T,), part by part."""
        device, state = self.model.device, None
        context, stride = check_window(self.model, 0, 0)
        read = torch.tensor([self.model.begin_id, *ids], device=device)
        if not context:
            for start in range(0, len(ids), READ_TOKENS):
                part = slice(start, min(start + READ_TOKENS, len(ids)))
                log_p_BTV, state = self.model.log_p(read[None, part], state)
                if part.stop > first:
                    from_here = max(first - start, 0)
                    yield log_p_BTV[0, from_here:], read[1:][part][from_here:]
            return
        for window in windows(first, len(ids), context, stride):
            inside = read[window.start + 1 : window.stop]
            begun = torch.cat([read[:1], inside])
            log_p_BTV, _ = self.model.log_p(begun.unsqueeze(0), None)
            yield log_p_BTV[0, window.score_from - window.start :], read[window.score_from + 1 : window.stop + 1]

    @torch.inference_mode()
    def written(self, prompt: str, until: Sequence[str], most: int) -> str:
        """What is written after a prompt, each token the likeliest, up to the first of some texts or a text's end."""
        vocabulary, ids, tokens = self.vocabulary, self.vocabulary.encode(prompt).tolist(), list[int]()
        stepper = self.model.stepper()
        log_p_BV = stepper.begin([ids])
        decoder = vocabulary.decoder(vocabulary.seam(prompt, ids))
        text = ""
        while len(tokens) < most:
            token = int(log_p_BV[0].argmax())
            if token == self.model.begin_id:
                break
            tokens.append(token)
            text += decoder.feed([token])
            if ends := [text.index(end) for end in until if end in text]:
                return text[: min(ends)]
            log_p_BV = advance(stepper, [[*ids, *tokens]], torch.tensor([token], device=self.model.device), log_p_BV)
        return text + decoder.finish()


def stops(options: Mapping[str, Any]) -> tuple[list[str], int]:
    """The texts that end one which is written, and its most tokens; UsageError for drawn texts."""
    if options.get("do_sample") and options.get("temperature", 1.0):
        raise UsageError("do_sample: texts for the harness are written greedily; give do_sample=false or temperature=0")
    until = options.get("until") or []
    most = next((options[name] for name in ("max_gen_toks", "max_new_tokens", "max_tokens") if name in options), None)
    return [until] if isinstance(until, str) else [end for end in until if end], int(most or MOST_TOKENS)


def of_harness(base: type[Any]) -> type[Any]:
    """The class of a model, a subclass of the harness's own `lm_eval.api.model.LM`."""

    class SeqtoolModel(base):  # type: ignore[misc, unused-ignore]
        """A run of seqtool."""

        def __init__(self, run: str = "", device: str = "cpu", **others: Any) -> None:
            super().__init__()
            if not run:
                raise UsageError("--model_args: name the run, as --model_args run=novel.run")
            # The harness names `cuda:0` unless it is told otherwise, also where there is none.
            there = not device.startswith("cuda") or torch.cuda.is_available()
            self.asked = Asked(load_run(Path(run), choose_device(device if there else "auto")))

        def loglikelihood(self, requests: Iterable[Any], **others: Any) -> list[tuple[float, bool]]:
            """log p of each continuation, and whether it is what would be written greedily."""
            return [self.asked.continuation(*request.args) for request in requests]

        def loglikelihood_rolling(self, requests: Iterable[Any], **others: Any) -> list[float]:
            """log p of each text."""
            return [-self.asked.nats(request.args[0]) for request in requests]

        def generate_until(self, requests: Iterable[Any], **others: Any) -> list[str]:
            """What is written after each prompt."""
            return [self.asked.written(request.args[0], *stops(request.args[1])) for request in requests]

    return SeqtoolModel


def main() -> None:
    """Register the class by the name `seqtool`, and do what the harness's own command does."""
    try:
        from lm_eval.__main__ import cli_evaluate
        from lm_eval.api.model import LM
        from lm_eval.api.registry import register_model
    except ImportError as error:
        raise SystemExit(
            f"seqtool: error: the harness is not installed ({error}): pip install 'seqtool[harness]'"
        ) from error
    register_model(NAME)(of_harness(LM))
    try:
        cli_evaluate()
    except SeqtoolError as error:
        sys.stderr.write(f"seqtool: error: {error}\n")
        raise SystemExit(error.exit_code) from error


if __name__ == "__main__":
    main()
