"""The tokenizer: byte-level BPE trained on this corpus, or one that has a name.

Text is first cut as GPT-2 does (its regular expression: words with the space before them, runs of digits, runs of other
signs, runs of spaces), every byte is then a symbol, and the most frequent pairs are merged until the vocabulary is full.
All 256 bytes are in the vocabulary, so any text comes back unchanged. Ties are broken by the library in a fixed way, so
the same text gives the same tokenizer. Source: ours; the paper says only that its vocabulary has 65,536 tokens.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from replication import artifacts
from replication.artifacts import ArtifactError
from replication.config import Settings, UserError
from replication.corpus.table import read
from replication.progress import Progress
from replication.provenance import Stopwatch

END = "<|endoftext|>"
# How other families of tokenizers call the end of a text, in the order in which they are looked for.
ENDS = (END, "</s>", "<eos>", "<|end_of_text|>", "<|EOS|>")


def make(*, documents: Path, settings: Settings, out: Path, progress: Progress) -> None:
    """Write `tokenizer.json` into `out`. Raises UserError when a named tokenizer cannot be had or does not fit."""
    assert settings.corpus is not None
    corpus, stopwatch = settings.corpus, Stopwatch()
    if corpus.tokenizer == "train":
        tokenizer = train(first(read(documents, held_out=False), corpus.tokenizer_bytes), corpus.d_vocab)
    else:
        tokenizer = named(corpus.tokenizer)
    path = out / artifacts.TOKENIZER
    with artifacts.atomic(path) as temporary:
        tokenizer.save(str(temporary))
    progress.say(f"{tokenizer.get_vocab_size():,} tokens")
    artifacts.write_meta(out, stage="corpus tokenizer", settings=settings, files={"tokenizer": path}, inputs={"documents": documents},
                         stopwatch=stopwatch, name=artifacts.TOKENIZER_META, d_vocab=tokenizer.get_vocab_size())


def train(texts: Iterable[str], d_vocab: int) -> Tokenizer:
    """Byte-level BPE with at most `d_vocab` tokens, of which id 0 is `<|endoftext|>`; fewer when the text has fewer pairs."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=d_vocab, special_tokens=[END], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    return tokenizer


def first(texts: Iterable[str], max_bytes: int) -> Iterator[str]:
    """The first texts, until they hold `max_bytes` bytes. Documents lie in the order of their hash, so this is a random sample."""
    taken = 0
    for text in texts:
        if taken >= max_bytes:
            return
        taken += len(text.encode())
        yield text


def named(name: str) -> Tokenizer:
    """A tokenizer by the path of its tokenizer.json or by its name on the Hub.

    Raises UserError when it cannot be read, or has no token that ends a text.
    """
    if name.endswith(".json"):
        tokenizer = load(Path(name))
    else:
        try:
            tokenizer = Tokenizer.from_pretrained(name)
        except Exception as error:  # the library raises bare Exception
            reason = (str(error).strip().splitlines() or [""])[0]
            raise UserError(f"the tokenizer {name} cannot be read from the Hugging Face Hub ({reason[:200]}); without a network set corpus.tokenizer "
                            "to train, or to the path of a tokenizer.json") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    end_of_text(tokenizer, name)
    return tokenizer


def load(path: Path) -> Tokenizer:
    """A tokenizer from its file, which reads text that spells a special token as ordinary text. Raises ArtifactError."""
    if not path.is_file():
        raise ArtifactError(f"{path} is missing; `snakemake --cores all` makes the corpus's own, and corpus.tokenizer names another")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise ArtifactError(f"{path} is not a tokenizer of the `tokenizers` library ({error})") from None
    # Sources of language models spell such tokens; without this a document would seem to end where one is quoted.
    tokenizer.encode_special_tokens = True
    return tokenizer


def end_of_text(tokenizer: Tokenizer, name: str = "this tokenizer") -> int:
    """Id of the token that ends a document. Raises UserError when there is none."""
    for token in ENDS:
        if (number := tokenizer.token_to_id(token)) is not None:
            return int(number)
    raise UserError(f"the tokenizer {name} has no token that ends a text ({', '.join(ENDS)}); take another or add one to its tokenizer.json")
