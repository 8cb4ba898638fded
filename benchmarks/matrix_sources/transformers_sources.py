"""Hugging Face folders of tiny models with random weights: `save` needs the package transformers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
import transformers

TEXT = {"vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}

# Folder -> the model's class, the configuration's, and its sizes.
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bert": ("BertModel", "BertConfig", TEXT),
    "distilbert": ("DistilBertForSequenceClassification", "DistilBertConfig",
                   {"vocab_size": 64, "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32}),
    "roberta": ("RobertaForTokenClassification", "RobertaConfig", TEXT),
    "vit": ("ViTForImageClassification", "ViTConfig",
            {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
             "image_size": 16, "patch_size": 8, "num_labels": 4}),
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", {"vocab_size": 64, "n_embd": 16, "n_layer": 2, "n_head": 2}),
    "llama": ("LlamaForCausalLM", "LlamaConfig", {**TEXT, "num_key_value_heads": 1}),
    "t5": ("T5ForConditionalGeneration", "T5Config",
           {"vocab_size": 64, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}),
}  # fmt: skip


def save(folder: Path) -> None:
    transformers.utils.logging.disable_progress_bar()
    for name, (model, config, sizes) in MODELS.items():
        torch.manual_seed(0)
        getattr(transformers, model)(getattr(transformers, config)(**sizes)).save_pretrained(folder / name)


if __name__ == "__main__":
    save(Path(sys.argv[1]))
