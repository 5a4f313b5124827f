"""Text encoders: any Hugging Face model, encoder or decoder, from texts to vectors."""

from __future__ import annotations

import copy
import functools
import hashlib
import itertools
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from finrec_dgl.base.config import choice, refuse
from finrec_dgl.base.errors import ConfigError, DataError, FinrecError
from finrec_dgl.base.files import read_json, sha256
from finrec_dgl.text import bert, hub, minilm

if TYPE_CHECKING:
    import torch

POOLINGS = ("auto", "mean", "cls", "last")
PRECISIONS = ("auto", "float32", "bfloat16", "int8")

# How sentence-transformers names its poolings, in its newer form and in its older one.
_POOLING_NAMES = {"mean": "mean", "cls": "cls", "lasttoken": "last"}
_POOLING_FLAGS = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "lasttoken",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
}
_MARGIN = 1.3
"""How much faster a precision that rounds more must be."""
_WEIGHED = (".json", ".txt", ".model", ".safetensors", ".py")


@dataclass(frozen=True)
class EncoderSpec:
    """Which text encoder, and how it is used.

    Parameters
    ----------
    name: ``minilm`` (all-MiniLM-L6-v2, 384 dimensions, the default), ``none`` (no text vectors),
        the id of a model on the Hugging Face hub, or a folder that holds one.
    revision: the commit, tag or branch on the hub; pin a commit for results that can be repeated.
        ``minilm`` is pinned already, and a folder has none.
    pooling: ``mean`` over the tokens, ``cls`` (the first), ``last`` (the last that is not padding),
        or ``auto``: what the model's sentence-transformers files say, else ``mean`` for encoders
        and ``last`` for decoders.
    max_length: tokens kept of each text, special tokens and prefix included.
    precision: of the forward pass, ``float32``, ``bfloat16``, ``int8`` (weights and inputs of
        linear layers in 8 bits, all else float32, on the CPU; in a BERT, where native code has
        bfloat16, those of values and those that widen are in it), or ``auto``: what this
        processor is fastest in, int8 for ``minilm`` only, whose vectors were compared.
        Pooling is float32 always.
    prefix: put before every text, such as an instruction (``"query: "``).
    normalize: divide each vector by its L2 norm.
    trust_remote_code: run Python code that comes with the model; only for code you have read.
    device: ``cpu``, ``cuda``, ``cuda:N``, or ``auto``: a GPU where there is one.

    Raises ConfigError that names every field out of range.
    """

    name: str = minilm.NAME
    revision: str | None = None
    pooling: str = "auto"
    max_length: int = 128
    precision: str = "auto"
    prefix: str = ""
    normalize: bool = True
    trust_remote_code: bool = False
    device: str = "auto"

    def __post_init__(self) -> None:
        problems = [
            *choice("pooling", self.pooling, POOLINGS),
            *choice("precision", self.precision, PRECISIONS),
        ]
        if self.device != "auto":
            from finrec_dgl.kernels.device import device_problems  # it imports PyTorch

            problems += device_problems(self.device)
            if self.precision == "int8" and self.device != "cpu":
                problems.append(f"precision is int8, which the cpu alone has, on {self.device}")
        if not self.name.strip():
            problems.append("name is empty; expected minilm, none, an id on the hub or a folder")
        if self.max_length < 2:
            problems.append(f"max_length is {self.max_length}, expected at least 2")
        if self.name == minilm.NAME and self.revision not in (None, minilm.REVISION):
            problems.append(
                f"revision is {self.revision!r}, but minilm is pinned at {minilm.REVISION}; "
                f"name {minilm.REPOSITORY} to choose another"
            )
        if self.name == minilm.NAME and self.trust_remote_code:
            problems.append("trust_remote_code is set, but minilm has no code of its own")
        refuse(problems, where="text encoder")


@dataclass(frozen=True)
class Model:
    """A spec with every ``auto`` decided and the model found on this machine.

    ``identity`` is the commit of a snapshot from the hub, else a hash over the folder's files.
    """

    spec: EncoderSpec
    folder: Path
    identity: str
    pooling: str
    precision: str

    def ingredients(self) -> dict[str, str | int | bool]:
        """All that a vector depends on besides its text: the key of the cache."""
        precision = self.precision
        if precision == "int8":
            from finrec_dgl.kernels.bert import has_bfloat16

            precision += " and bfloat16" if has_bfloat16() else ""
        return {
            "model": self.identity,
            "pooling": self.pooling,
            "max_length": self.spec.max_length,
            "precision": precision,
            "prefix": self.spec.prefix,
            "normalize": self.spec.normalize,
            "remote_code": self.spec.trust_remote_code,
        }


def resolve(spec: EncoderSpec, *, trained: bool = False) -> Model:
    """Find the model of ``spec`` and decide what it leaves open; no weights are loaded yet.

    ``trained``: gradients will be asked for, which 8-bit integers do not have; in their place
    stands what ``auto`` gives without them. Raises DataError where the model cannot be had or its
    files do not say how to pool.
    """
    folder, identity = _locate(spec)
    pooling = _pooling(folder) if spec.pooling == "auto" else spec.pooling
    precision = spec.precision
    if trained and precision == "int8":
        precision = "auto"
    if precision == "auto":
        int8 = identity == minilm.REVISION and not trained
        precision = fastest_precision(int8=int8, device=spec.device)
    return Model(spec, folder, identity, pooling, precision)


def _locate(spec: EncoderSpec) -> tuple[Path, str]:
    if spec.name == minilm.NAME:
        return minilm.find(), minilm.REVISION
    folder = Path(spec.name).expanduser()
    if folder.is_dir():
        if spec.revision is not None:
            raise ConfigError(
                f"revision is {spec.revision!r}, but the text encoder is a folder, which has none",
                where=str(folder),
            )
        if not hub.is_complete(folder):
            raise DataError(
                "the folder does not hold a text encoder with weights in safetensors",
                expected="config.json, a tokenizer, and model.safetensors or its index and shards",
                where=str(folder),
                mend="save the model again with safe_serialization, and its tokenizer beside it",
            )
        return folder, _folder_hash(folder)
    if folder.is_absolute() or spec.name.startswith((".", "~")) or spec.name.count("/") > 1:
        raise DataError(
            "the text encoder's folder does not exist",
            expected="minilm, none, the id of a model on the hub, or a folder",
            where=spec.name,
        )
    code = spec.trust_remote_code
    snapshot = hub.cached_snapshot(spec.name, spec.revision, code=code)
    if snapshot is None:
        snapshot = hub.download_snapshot(spec.name, spec.revision, code=code)
    commit = snapshot.name if re.fullmatch(r"[0-9a-f]{40}", snapshot.name) else None
    return snapshot, commit or _folder_hash(snapshot)


def _folder_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if file.suffix in _WEIGHED and file.is_file():
            status = file.stat()
            found = _file_hash(file.resolve(), status.st_size, status.st_mtime_ns)
            digest.update(f"{file.name} {found}\n".encode())
    return digest.hexdigest()


@functools.lru_cache(maxsize=256)
def _file_hash(file: Path, size: int, modified: int) -> str:  # noqa: ARG001
    return sha256(file)


def _pooling(folder: Path) -> str:
    """What the files beside the model say, else what suits its kind."""
    listed = folder / "modules.json"
    if not listed.is_file():
        return "last" if _is_decoder(folder) else "mean"
    pooling = "mean"
    for module in read_json(listed, what="list of modules"):
        kind = str(module.get("type", "")).rpartition(".")[2]
        if kind == "Pooling":
            pooling = _pooling_of(folder / str(module.get("path", "")) / "config.json")
        elif kind not in ("Transformer", "Normalize"):
            raise DataError(
                f"the model ends in a module {kind!r}, which is not supported",
                expected="modules of the kinds Transformer, Pooling and Normalize",
                where=str(listed),
                mend="choose the pooling yourself to use the transformer without that module",
            )
    return pooling


def _pooling_of(path: Path) -> str:
    config = read_json(path, what="configuration of the pooling")
    named = config.get("pooling_mode")
    if named is None:
        named = [name for flag, name in _POOLING_FLAGS.items() if config.get(flag)] or ["mean"]
    modes = [named] if isinstance(named, str) else list(named)
    if len(modes) != 1 or modes[0] not in _POOLING_NAMES:
        raise DataError(
            f"the model pools by {' and '.join(map(str, modes))}, which is not supported",
            expected="one of mean, cls and lasttoken",
            where=str(path),
            mend="choose the pooling yourself: mean, cls or last",
        )
    return _POOLING_NAMES[modes[0]]


def _is_decoder(folder: Path) -> bool:
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    )

    config = read_json(folder / "config.json", what="configuration of the text encoder")
    kind = config.get("model_type")
    # Encoders such as BERT have a causal head too, but no decoder has a masked one.
    causal = kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    return bool(config.get("is_decoder")) or (
        causal and kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES
    )


def _has_separate_encoder(kind: str) -> bool:
    """Whether the encoder of an encoder-decoder model stands by itself, as T5's does."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES

    return str(MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES.get(kind, "")).endswith("EncoderModel")


@functools.lru_cache(maxsize=4)
def fastest_precision(int8: bool = False, device: str = "auto") -> str:
    """int8 where ``int8`` allows it and the processor has instructions for it, else what is faster.

    Which of float32 and bfloat16 multiplies faster is measured once a process, in some 50 ms;
    bfloat16 must be faster by a margin, so that every run decides alike. A processor without its
    instructions emulates it (measured on one with AVX2 only: an eighth of float32's speed), one
    with them should gain clearly.
    """
    import torch

    from finrec_dgl.kernels.device import find_device
    from finrec_dgl.kernels.int8 import has_int8

    if find_device(device).type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    if int8 and has_int8():
        return "int8"
    with torch.random.fork_rng(devices=[]):
        linear = torch.nn.Linear(384, 384)
    x = torch.ones(256, 384)
    products = {
        "float32": (linear, x),
        "bfloat16": (copy.deepcopy(linear).bfloat16(), x.bfloat16()),
    }
    seconds = dict.fromkeys(products, float("inf"))
    with torch.inference_mode():
        # In turns, and the best of each, so that a neighbour's load does not decide.
        for _ in range(5):
            for name, (product, inputs) in products.items():
                start = time.perf_counter()
                product(inputs)
                seconds[name] = min(seconds[name], time.perf_counter() - start)
    return "bfloat16" if seconds["float32"] > _MARGIN * seconds["bfloat16"] else "float32"


@dataclass(frozen=True)
class Tokens:
    """Token ids of several texts: int32 ids end to end, and where each text starts, int64 [n+1]."""

    ids: np.ndarray
    starts: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each text, int64 [n]."""
        return np.diff(self.starts)

    def of(self, rows: np.ndarray) -> np.ndarray:
        """The ids of the texts ``rows`` end to end."""
        return np.concatenate([self.ids[self.starts[row] : self.starts[row + 1]] for row in rows])


class Encoder:
    """A model in memory, ready to encode.

    Texts are padded on the right always, whatever the tokenizer would do: tokens then stand at
    the positions that they have alone, for encoders and (causal) decoders alike, and the last
    token of a text is found by its length.
    """

    def __init__(self, model: Model) -> None:
        """Load ``model``. Raises DataError where its files cannot be used."""
        import torch

        from finrec_dgl.kernels.device import find_device

        self.model = model
        with hub.quiet():
            self.tokenizer = _load_tokenizer(model)
            self.network = _load_network(model)
        int8 = model.precision == "int8"
        self.device = torch.device("cpu") if int8 else find_device(model.spec.device)
        self.network.to(self.device)
        self._pad = next(
            (
                int(token)
                for token in (self.tokenizer.pad_token_id, self.network.config.pad_token_id)
                if isinstance(token, int) and token >= 0
            ),
            0,
        )
        self._check_length()

    @property
    def dimension(self) -> int:
        """Columns of the vectors."""
        return int(self.network.config.hidden_size)

    @property
    def packs(self) -> bool:
        """Whether ``forward`` takes texts end to end, without padding."""
        return bert.is_bert(self.network)

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Token ids of the prefix and each text, cut at ``max_length``."""
        lengths, flat = [0], []
        # Chunks, because the tokenizer's lists of ints take ten times the room of the arrays.
        for start in range(0, len(texts), 16_384):
            chunk = [self.model.spec.prefix + text for text in texts[start : start + 16_384]]
            rows = self.tokenizer(
                chunk,
                truncation=True,
                max_length=self.model.spec.max_length,
                padding=False,
                return_attention_mask=False,
                return_token_type_ids=False,
                verbose=False,
            )["input_ids"]
            lengths.extend(map(len, rows))
            flat.append(np.fromiter(itertools.chain.from_iterable(rows), dtype=np.int32))
        ids = np.concatenate(flat) if flat else np.zeros(0, dtype=np.int32)
        return Tokens(ids, np.cumsum(lengths, dtype=np.int64))

    def forward(self, tokens: Tokens, rows: np.ndarray) -> np.ndarray:
        """Vectors float32 [len(rows), d] of the texts ``rows`` of ``tokens``, as one batch.

        Every one of them must have at least one token. Raises DataError where the model gives
        values that are not finite.
        """
        import torch

        with torch.inference_mode():
            embed = self._embed_packed if self.packs else self.embed
            vectors: np.ndarray = embed(tokens, rows).cpu().numpy()
        if not np.isfinite(vectors).all():
            raise DataError(
                "the text encoder gave values that are not finite",
                where=f"{self.model.spec.name} in {self.model.precision}",
                mend="use precision float32",
            )
        return vectors

    def embed(self, tokens: Tokens, rows: np.ndarray) -> torch.Tensor:
        """The same as a tensor on the encoder's device, with its gradient and unchecked."""
        import torch

        lengths = tokens.lengths[rows]
        real = np.arange(lengths.max()) < lengths[:, None]
        ids = np.full(real.shape, self._pad, dtype=np.int64)
        ids[real] = tokens.of(rows)
        mask = torch.from_numpy(real.astype(np.int64)).to(self.device)
        hidden = self.network(
            input_ids=torch.from_numpy(ids).to(self.device), attention_mask=mask
        ).last_hidden_state
        return self._scaled(pool(hidden.float(), mask, self.model.pooling))

    def _embed_packed(self, tokens: Tokens, rows: np.ndarray) -> torch.Tensor:
        """The same of a BERT, without gradient."""
        lengths = tokens.lengths[rows]
        hidden = bert.hidden_states(self.network, tokens.of(rows), lengths)
        return self._scaled(bert.pool_packed(hidden, lengths, self.model.pooling))

    def _scaled(self, pooled: torch.Tensor) -> torch.Tensor:
        import torch

        return torch.nn.functional.normalize(pooled, dim=1) if self.model.spec.normalize else pooled

    def _check_length(self) -> None:
        limits = [
            int(limit)
            for limit in (
                getattr(self.network.config, "max_position_embeddings", None),
                self.tokenizer.model_max_length,
            )
            if limit
        ]
        length, limit = self.model.spec.max_length, min(limits, default=1 << 30)
        if length > limit:
            raise ConfigError(
                f"max_length is {length}, but the text encoder takes {limit} tokens at most",
                where=f"text encoder {self.model.spec.name}",
            )
        prefix = len(self.tokenizer(self.model.spec.prefix)["input_ids"])
        if self.model.spec.prefix and prefix >= length:
            raise ConfigError(
                f"the prefix takes {prefix} tokens, which leaves no room for text in {length}",
                expected="a shorter prefix, or a larger max_length",
                where=f"text encoder {self.model.spec.name}",
            )


def pool(hidden: torch.Tensor, mask: torch.Tensor, pooling: str) -> torch.Tensor:
    """One vector a text, [B, d], from ``hidden`` [B, L, d] of texts padded on the right.

    With ``mask`` m [B, L] of ones and zeros: ``mean`` is sum_l m_l h_l / sum_l m_l, ``cls`` is h_0
    and ``last`` is h at position sum_l m_l - 1.
    """
    import torch

    if pooling == "cls":
        return hidden[:, 0]
    lengths = mask.sum(dim=1)
    if pooling == "last":
        return hidden[torch.arange(len(hidden), device=hidden.device), lengths - 1]
    # A product with the mask would keep NaN and infinity that padding may hold.
    kept = hidden.masked_fill(mask.unsqueeze(2) == 0, 0.0)
    return kept.sum(dim=1) / lengths.unsqueeze(1)


def _load_tokenizer(model: Model) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(
            model.folder,
            local_files_only=True,
            trust_remote_code=model.spec.trust_remote_code,
        )
    except Exception as error:
        raise _unusable(model, "tokenizer", error) from error


def _load_network(model: Model) -> Any:
    import torch
    import transformers
    from packaging.version import Version

    # The argument was renamed, and its default changed, between the versions admitted.
    renamed = Version(transformers.__version__) >= Version("4.56")
    dtype = torch.float32 if model.precision == "int8" else getattr(torch, model.precision)
    kind = {"dtype" if renamed else "torch_dtype": dtype}
    try:
        config = transformers.AutoConfig.from_pretrained(
            model.folder,
            local_files_only=True,
            trust_remote_code=model.spec.trust_remote_code,
        )
        config.use_cache = False
        auto: Any = transformers.AutoModel
        if _has_separate_encoder(config.model_type):
            auto = transformers.AutoModelForTextEncoding
        elif getattr(config, "is_encoder_decoder", False):
            raise ValueError(
                f"{config.model_type} models encode and decode; expected one or the other"
            )
        network, report = auto.from_pretrained(
            model.folder,
            config=config,
            local_files_only=True,
            trust_remote_code=model.spec.trust_remote_code,
            use_safetensors=True,
            output_loading_info=True,
            **kind,
        )
    except Exception as error:
        raise _unusable(model, "model", error) from error
    # The pooler is a head that is not used here; anything else absent would be random numbers.
    absent = sorted(key for key in report["missing_keys"] if "pooler" not in key)
    if absent:
        raise DataError(
            f"the weights of the text encoder lack {len(absent)} tensors, such as {absent[0]}",
            expected="weights for every layer that config.json describes",
            where=str(model.folder),
        )
    if model.precision == "int8":
        _to_int8(network)
    return network.eval()


def _to_int8(network: torch.nn.Module) -> None:
    """Put Int8Linear, or Bfloat16Linear where a BERT needs it, in the place of every linear layer.

    Raises ConfigError where there is none.
    """
    import torch

    from finrec_dgl.kernels.int8 import Bfloat16Linear, Int8Linear

    found, precise = False, bert.precise_linears(network)
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if type(child) is torch.nn.Linear:
                kind = Bfloat16Linear if child in precise else Int8Linear
                setattr(module, name, kind(child))
                found = True
    if not found:
        raise ConfigError(
            "precision is int8, but the text encoder has no linear layers of PyTorch's own",
            expected="auto, float32 or bfloat16",
            where="text encoder",
        )


def _unusable(model: Model, part: str, error: Exception) -> FinrecError:
    mend = None
    if "trust_remote_code" in str(error):
        mend = "set trust_remote_code, once you have read the code that comes with the model"
    return DataError(
        f"the {part} of the text encoder {model.spec.name!r} cannot be loaded: {hub.reason(error)}",
        where=str(model.folder),
        mend=mend,
    )
