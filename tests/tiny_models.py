"""Tiny models with random weights, built on the spot: no network, no downloads."""

import json
from pathlib import Path

_SENTENCE = "the fund invests in bonds of many large small old new firms and banks with low risk"
WORDS = tuple(_SENTENCE.split())


def save_tokenizer(folder: Path, *, side: str = "right", model_max_length: int = 64) -> None:
    """A word-level tokenizer: [CLS] words [SEP], as transformers saves it."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = {word: index for index, word in enumerate([*special, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        padding_side=side,
        model_max_length=model_max_length,
    ).save_pretrained(folder)


def save_bert(folder: Path, *, seed: int = 0, width: int = 16, heads: int = 2) -> Path:
    """A BERT of ``width`` dimensions and two layers."""
    import torch
    from transformers import BertConfig, BertModel

    from finrec_dgl.text import hub

    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=4 + len(WORDS),
        hidden_size=width,
        num_hidden_layers=2,
        num_attention_heads=heads,
        intermediate_size=2 * width,
        max_position_embeddings=64,
    )
    with hub.quiet():
        BertModel(config).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def save_decoder(folder: Path, kind: str = "llama", *, side: str = "right") -> Path:
    """A causal model of 16 dimensions and two layers: rotary positions, or learned ones."""
    import torch
    import transformers

    from finrec_dgl.text import hub

    torch.manual_seed(1)
    words = 4 + len(WORDS)
    if kind == "llama":
        model = transformers.LlamaModel(
            transformers.LlamaConfig(
                vocab_size=words,
                hidden_size=16,
                num_hidden_layers=2,
                num_attention_heads=2,
                num_key_value_heads=1,
                intermediate_size=32,
                max_position_embeddings=64,
                bos_token_id=2,
                eos_token_id=3,
            )
        )
    else:
        model = transformers.GPT2Model(
            transformers.GPT2Config(
                vocab_size=words,
                n_embd=16,
                n_layer=2,
                n_head=2,
                n_positions=64,
                bos_token_id=2,
                eos_token_id=3,
            )
        )
    with hub.quiet():
        model.save_pretrained(folder)
    save_tokenizer(folder, side=side)
    return folder


def save_pooling(folder: Path, config: dict, *, extra: str | None = None) -> None:
    """What sentence-transformers writes beside a model."""
    kinds = ["Transformer", "Pooling", *([extra] if extra else []), "Normalize"]
    modules = [
        {
            "idx": index,
            "name": str(index),
            "path": "" if not index else f"{index}_{kind}",
            "type": f"sentence_transformers.models.{kind}",
        }
        for index, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(config))
