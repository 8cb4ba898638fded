"""Hugging Face architectures as tiny models: class, configuration and inputs of each, as a user would declare them.

`save` writes each as the folder that `save_pretrained` makes, with random weights and, where a model takes integers,
a file of ids beside it: it needs the package transformers.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

VOCABULARY, LONGEST = 64, 64
ROWS, LENGTH = 40, 12  # of the ids that a verdict is made on, beside the generated ones

TEXT = ("input_ids:int64[batch,sequence<=32]", "attention_mask:int64[batch,sequence<=32]")
IMAGE = ("pixel_values:float32[batch,3,32,32]",)
TALL = ("pixel_values:float32[batch,3,height,width]",)
SOUND = ("input_values:float32[batch,400]",)
SPECTRUM = ("input_features:float32[batch,16,64]",)

_WIDE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
_WORDS = {"vocab_size": VOCABULARY, "max_position_embeddings": LONGEST}
_ENCODER = {**_WORDS, **_WIDE}
_DECODER = {**_ENCODER, "num_key_value_heads": 2, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
_SEES = {"image_size": 32, "patch_size": 8, **_WIDE}


@dataclass(frozen=True)
class Model:
    """A class of transformers, its configuration's class and sizes, and its inputs as `--input` takes them."""

    family: str
    kind: str
    config: str
    sizes: Mapping[str, Any]
    inputs: tuple[str, ...] = TEXT
    inner: Mapping[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)  # configurations inside


MODELS: dict[str, Model] = {
    "BERT": Model("encoders", "BertModel", "BertConfig", _ENCODER),
    "RoBERTa": Model("encoders", "RobertaForTokenClassification", "RobertaConfig", _ENCODER),
    "DistilBERT": Model("encoders", "DistilBertForSequenceClassification", "DistilBertConfig",
                        {**_WORDS, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48}),
    "ALBERT": Model("encoders", "AlbertModel", "AlbertConfig", {**_ENCODER, "embedding_size": 16}),
    "ELECTRA": Model("encoders", "ElectraForTokenClassification", "ElectraConfig", {**_ENCODER, "embedding_size": 16}),
    "DeBERTa-v2": Model("encoders", "DebertaV2Model", "DebertaV2Config",
                        {**_ENCODER, "relative_attention": True, "position_buckets": 16, "norm_rel_ebd": "layer_norm",
                         "share_att_key": True, "pos_att_type": ["p2c", "c2p"], "type_vocab_size": 0}),
    "MPNet": Model("encoders", "MPNetModel", "MPNetConfig", _ENCODER),
    "XLM-RoBERTa": Model("encoders", "XLMRobertaForMaskedLM", "XLMRobertaConfig", _ENCODER),
    "ModernBERT": Model("encoders", "ModernBertModel", "ModernBertConfig",
                        {**_ENCODER, "local_attention": 8, "global_attn_every_n_layers": 2, "pad_token_id": 0,
                         "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}),
    "GPT-2": Model("decoders", "GPT2LMHeadModel", "GPT2Config",
                   {"vocab_size": VOCABULARY, "n_positions": LONGEST, "n_embd": 32, "n_layer": 2, "n_head": 4}),
    "GPT-NeoX": Model("decoders", "GPTNeoXForCausalLM", "GPTNeoXConfig", _ENCODER),
    "OPT": Model("decoders", "OPTForCausalLM", "OPTConfig",
                 {**_WORDS, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 48,
                  "word_embed_proj_dim": 32}),
    "BLOOM": Model("decoders", "BloomForCausalLM", "BloomConfig",
                   {"vocab_size": VOCABULARY, "hidden_size": 32, "n_layer": 2, "n_head": 4}),
    "Llama": Model("decoders", "LlamaForCausalLM", "LlamaConfig", _DECODER),
    "Mistral": Model("decoders", "MistralForCausalLM", "MistralConfig", {**_DECODER, "sliding_window": 8}),
    "Qwen2": Model("decoders", "Qwen2ForCausalLM", "Qwen2Config", _DECODER),
    "Gemma": Model("decoders", "GemmaForCausalLM", "GemmaConfig", {**_DECODER, "head_dim": 8}),
    "Phi": Model("decoders", "PhiForCausalLM", "PhiConfig", _DECODER),
    "Falcon": Model("decoders", "FalconForCausalLM", "FalconConfig",
                    {"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}),
    "T5 encoder": Model("encoders and decoders", "T5EncoderModel", "T5Config",
                        {"vocab_size": VOCABULARY, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2,
                         "num_heads": 4}),
    "T5": Model("encoders and decoders", "T5ForConditionalGeneration", "T5Config",
                {"vocab_size": VOCABULARY, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4},
                (*TEXT, "decoder_input_ids:int64[batch,written<=32]")),
    "BART": Model("encoders and decoders", "BartModel", "BartConfig",
                  {**_WORDS, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
                   "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48},
                  (*TEXT, "decoder_input_ids:int64[batch,written<=32]")),
    "ViT": Model("pictures", "ViTForImageClassification", "ViTConfig", {**_SEES, "num_labels": 5}, IMAGE),
    "DeiT": Model("pictures", "DeiTForImageClassification", "DeiTConfig", {**_SEES, "num_labels": 5}, IMAGE),
    "BEiT": Model("pictures", "BeitForImageClassification", "BeitConfig",
                  {**_SEES, "num_labels": 5, "use_relative_position_bias": True}, IMAGE),
    "DINOv2": Model("pictures", "Dinov2Model", "Dinov2Config", _SEES, IMAGE),
    "Swin": Model("pictures", "SwinForImageClassification", "SwinConfig",
                  {"image_size": 32, "patch_size": 2, "embed_dim": 16, "depths": [2, 2], "num_heads": [2, 4],
                   "window_size": 4, "num_labels": 5}, IMAGE),
    "ConvNeXt": Model("pictures", "ConvNextForImageClassification", "ConvNextConfig",
                      {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1], "num_labels": 5}, TALL),
    "SegFormer": Model("pictures", "SegformerForSemanticSegmentation", "SegformerConfig",
                       {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "decoder_hidden_size": 16,
                        "num_attention_heads": [1, 2, 2, 4], "num_labels": 5},
                       ("pixel_values:float32[batch,3,64,64]",)),
    "DETR": Model("pictures", "DetrForObjectDetection", "DetrConfig",
                  {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 4,
                   "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "num_queries": 6,
                   "use_timm_backbone": False, "use_pretrained_backbone": False, "backbone": None, "num_labels": 5},
                  ("pixel_values:float32[batch,3,64,64]",),
                  {"backbone_config": ("ResNetConfig", {"embedding_size": 8, "hidden_sizes": [8, 16, 24, 32],
                                                        "depths": [1, 1, 1, 1], "out_features": ["stage4"]})}),
    "CLIP text": Model("pictures and text", "CLIPTextModelWithProjection", "CLIPTextConfig",
                       {**_ENCODER, "projection_dim": 16, "bos_token_id": 62, "eos_token_id": 63, "pad_token_id": 1}),
    "CLIP vision": Model("pictures and text", "CLIPVisionModelWithProjection", "CLIPVisionConfig",
                         {**_SEES, "projection_dim": 16}, IMAGE),
    "SigLIP vision": Model("pictures and text", "SiglipVisionModel", "SiglipVisionConfig", _SEES, IMAGE),
    "Whisper encoder": Model("sound", "WhisperForAudioClassification", "WhisperConfig",
                             {"d_model": 32, "encoder_layers": 2, "decoder_layers": 1, "encoder_attention_heads": 4,
                              "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48,
                              "num_mel_bins": 16, "max_source_positions": 32, "vocab_size": VOCABULARY,
                              "classifier_proj_size": 16, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
                              "decoder_start_token_id": 1}, SPECTRUM),
    "Wav2Vec2": Model("sound", "Wav2Vec2ForCTC", "Wav2Vec2Config",
                      {"vocab_size": VOCABULARY, **_WIDE, "conv_dim": [16, 16, 16], "conv_stride": [5, 4, 2],
                       "conv_kernel": [10, 4, 3], "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 4},
                      SOUND),
}  # fmt: skip


def folder_of(name: str) -> str:
    return name.lower().replace(" ", "-")


def save(place: Path, names: Iterable[str] = tuple(MODELS)) -> None:
    """Each model as a folder of its own, with data.npz beside it where it takes integers."""
    import numpy as np
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    for name in names:
        model = MODELS[name]
        torch.manual_seed(0)
        inner = {key: getattr(transformers, config)(**sizes) for key, (config, sizes) in model.inner.items()}
        configuration = getattr(transformers, model.config)(**model.sizes, **inner)
        built = getattr(transformers, model.kind)(configuration)
        _move_statistics(torch, built)
        built.save_pretrained(place / folder_of(name))
        ids = [text.partition(":")[0] for text in model.inputs if ":int" in text]
        random = np.random.default_rng(0)
        arrays = {each: random.integers(0, 2 if "mask" in each else VOCABULARY, (ROWS, LENGTH)) for each in ids}
        if arrays:
            for each in arrays.values():
                each[:, 0] = 1  # a mask leaves at least one place
            np.savez(place / f"{folder_of(name)}.npz", **arrays)


def _move_statistics(torch: Any, module: Any) -> None:
    """Weights and statistics of normalisations away from ones and zeros, which a converter could lose unseen."""
    for each in module.modules():
        if isinstance(each, torch.nn.BatchNorm2d) or "BatchNorm" in type(each).__name__:
            each.running_mean.uniform_(-0.2, 0.2)
            each.running_var.uniform_(0.5, 1.5)
        for key, parameter in each.named_parameters(recurse=False):
            if parameter.ndim == 1 and key in ("weight", "bias"):
                parameter.data += torch.empty_like(parameter).uniform_(-0.1, 0.1)


if __name__ == "__main__":
    save(Path(sys.argv[1]))
