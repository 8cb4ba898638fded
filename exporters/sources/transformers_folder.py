"""A Hugging Face transformers folder: config.json names the model's class, safetensors beside it hold its weights.

Only classes of the installed package are built; a folder that asks for Python files of its own is refused. What the
model takes is known from its class: token ids with their mask, pictures, sound.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from exporters.sources import pickles, torch_pickle
from exporters.sources.source import Asked, Kind, Source
from exporters.sources.torch_module import TorchModuleRunner
from toolkit.causes import said
from toolkit.errors import BadInput, RuntimeMissing, UnsafeFile
from toolkit.signature import BATCH, Signature, TensorSpec

KINDS = (
    Kind("transformers", "torch", "exporters.sources.transformers_folder:open_folder",
         "a Hugging Face transformers folder: config.json and its weights", "folder"),
)  # fmt: skip

CONFIG = "config.json"
_SIDE = 224
_SAMPLES = 16_000  # a second of speech, at the rate that such models are trained on
_WHY_EAGER = "PyTorch's fused one gives rows that are masked all over another meaning"
_SEQUENCE, _WRITTEN = "sequence", "decoder_sequence"  # free dimensions: words read, and words written so far
_POSITIONS = re.compile(r"^(embed_positions|position_embeddings?|wpe|positions_embed)$")


def probe(source: Source, asked: Asked) -> Source | None:
    """A folder whose config.json names a type of model."""
    config = read_config(asked.path)
    if config is None:
        return None
    if config.get("auto_map"):
        raise UnsafeFile(
            "its model is built by Python code that lies in the folder (auto_map)",
            where=asked.text,
            hint="If you trust that code, load the model in a factory of your own: package.module:callable.",
        )
    if not config.get("architectures"):
        raise BadInput(
            "its config.json does not say which class the weights are of ('architectures')", where=asked.text,
            hint="Save the model with save_pretrained, or load it in a factory.",
        )  # fmt: skip
    facts: dict[str, Any] = {"architecture": str(config["architectures"][0])}
    for file in sorted(asked.path.glob("*.bin")):
        content = pickles.content(file)
        if content is not None and not content.holds_only_weights:
            facts["sha256"] = torch_pickle.require_trust(replace(asked, text=str(file)), content.code)
    return replace(source, kind="transformers", facts=facts)


def read_config(folder: Path) -> dict[str, Any] | None:
    """The configuration in a folder; None where there is none that names a type of model."""
    try:
        found = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and "model_type" in found else None


def open_folder(source: Source, device: str, threads: int | None) -> TorchModuleRunner:
    runner = TorchModuleRunner(source, lambda torch: _load(torch, source), device, threads)
    runner.notes.append(
        f"transformers opened it with attention in its plain form (attn_implementation=eager): {_WHY_EAGER}"
    )
    return runner


def _load(torch: Any, source: Source) -> tuple[Any, Any]:
    assert source.path is not None
    try:
        import transformers
    except ModuleNotFoundError as error:
        raise RuntimeMissing(
            f"the package '{error.name}' is not installed", where=source.path, hint="pip install transformers"
        ) from error
    name = source.facts["architecture"]
    kind: Any = getattr(transformers, name, None)
    if not _is_model(torch, kind):
        raise BadInput(
            f"transformers {transformers.__version__} has no model {name}", where=source.path,
            hint="Install the version that config.json names (transformers_version), or load it in a factory.",
        )  # fmt: skip
    try:
        model, report = kind.from_pretrained(
            source.path,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            # Said among the notes.
            attn_implementation="eager",
        )
    except Exception as error:
        raise BadInput(f"transformers cannot open it ({said(error)})", where=source.path) from error
    missing = sorted(map(str, report["missing_keys"]))
    if missing:
        raise BadInput(
            f"the folder lacks {len(missing)} of the model's weights ({', '.join(missing[:3])}, ...), which would stay"
            " random", where=source.path, hint="Save the model that was trained with save_pretrained.",
        )  # fmt: skip
    for part in model.modules():
        if hasattr(getattr(part, "config", None), "use_cache"):
            part.config.use_cache = False  # a cache is state, and no tensor
    _spell_out_experts(model)
    return model, None if source.inputs else _signature(torch, model)


def _spell_out_experts(model: Any) -> None:
    """Mixtures of experts as products of gathered weights: the usual form calls an operator of transformers' own."""
    can = getattr(model, "_can_set_experts_implementation", None)
    if can is not None and can():
        model.set_experts_implementation("batched_mm")


def _is_model(torch: Any, kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, torch.nn.Module)


def _signature(torch: Any, model: Any) -> Signature:
    """Inputs by name, with batch and sequence free, as far as the model has places for words."""
    specs = tuple(_specs(model))
    longest = _longest(torch, model)
    used = {dim for spec in specs for dim in spec.shape} - {BATCH}
    limits = tuple((dim, longest) for dim in (_SEQUENCE, _WRITTEN) if longest is not None and dim in used)
    return Signature(specs, (), {spec.name: spec.name for spec in specs}, limits=limits)


def _specs(model: Any) -> Iterator[TensorSpec]:
    """From what the class says is its main input."""
    main, config = model.main_input_name, model.config
    takes = set(_parameters(model))
    if main == "input_ids":
        yield TensorSpec("input_ids", "int64", (BATCH, _SEQUENCE))
        if "attention_mask" in takes:
            yield TensorSpec("attention_mask", "int64", (BATCH, _SEQUENCE))
        if config.is_encoder_decoder and "decoder_input_ids" in takes:
            yield TensorSpec("decoder_input_ids", "int64", (BATCH, _WRITTEN))
    elif main == "pixel_values":
        sides = _sides(getattr(config, "image_size", _SIDE))
        yield TensorSpec("pixel_values", "float32", (BATCH, getattr(config, "num_channels", 3), *sides))
    elif main == "input_features" and hasattr(config, "num_mel_bins") and hasattr(config, "max_source_positions"):
        # Whisper's encoder halves its spectrum, and has a fixed number of places.
        yield TensorSpec("input_features", "float32", (BATCH, config.num_mel_bins, 2 * config.max_source_positions))
    elif main == "input_values" and hasattr(config, "conv_kernel"):
        yield TensorSpec("input_values", "float32", (BATCH, _SAMPLES))
    else:
        raise BadInput(
            f"the inputs of a {type(model).__name__} are not known here (its main one is {main})",
            where=str(model.config.name_or_path),
            hint="Describe them: --input NAME:DTYPE[batch,...].",
        )


def _longest(torch: Any, model: Any) -> int | None:
    """How many words its tables of positions have places for; None where it has none, and any number will do.

    Some tables begin with places that no word gets: as many as the module's `offset`, or up to its `padding_idx`.
    """
    places = [
        part.num_embeddings - getattr(part, "offset", 0) - (0 if part.padding_idx is None else part.padding_idx + 1)
        for name, part in model.named_modules()
        if isinstance(part, torch.nn.Embedding) and _POSITIONS.search(name.rpartition(".")[2])
    ]
    return min(places, default=None)


def _parameters(model: Any) -> Mapping[str, Any]:
    import inspect

    return inspect.signature(model.forward).parameters


def _sides(size: Any) -> tuple[int, int]:
    return (int(size), int(size)) if isinstance(size, int) else (int(size[0]), int(size[1]))
