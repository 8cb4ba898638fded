"""A Hugging Face transformers folder: config.json names the model's class, safetensors beside it hold its weights.

Only classes of the installed package are built; a folder that asks for Python files of its own is refused. What the
model takes is known from its class: token ids with their mask, pictures, sound.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from exporters.sources import pickles, torch_pickle
from exporters.sources.source import Asked, Kind, Source
from exporters.sources.torch_module import TorchModuleRunner
from toolkit.errors import BadInput, RuntimeMissing, UnsafeFile

KINDS = (
    Kind("transformers", "torch", "exporters.sources.transformers_folder:open_folder",
         "a Hugging Face transformers folder: config.json and its weights", "folder"),
)  # fmt: skip

CONFIG = "config.json"
_PICKLED = "pytorch_model.bin"
_LONGEST = 512  # of a sequence, where the configuration does not say
_SIDE = 224


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
    return TorchModuleRunner(source, lambda torch: _load(torch, source), device, threads)


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
            # In its plain form: PyTorch's fused one gives rows that are masked all over another meaning.
            attn_implementation="eager",
        )
    except Exception as error:
        raise BadInput(
            f"transformers cannot open it ({(str(error).strip().splitlines() or [''])[0][:200]})", where=source.path
        ) from error
    missing = sorted(map(str, report["missing_keys"]))
    if missing:
        raise BadInput(
            f"the folder lacks {len(missing)} of the model's weights ({', '.join(missing[:3])}, ...), which would stay"
            " random", where=source.path, hint="Save the model that was trained with save_pretrained.",
        )  # fmt: skip
    for part in model.modules():
        if hasattr(getattr(part, "config", None), "use_cache"):
            part.config.use_cache = False  # a cache is state, and no tensor
    return model, None if source.inputs else dict(_examples(torch, model))


def _is_model(torch: Any, kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, torch.nn.Module)


def _examples(torch: Any, model: Any) -> Iterator[tuple[str, Any]]:
    """Example inputs by name, from what the class says is its main input."""
    main, config = model.main_input_name, model.config
    takes = set(_parameters(model))
    if main == "input_ids":
        yield "input_ids", torch.ones(2, 5, dtype=torch.long)
        if "attention_mask" in takes:
            yield "attention_mask", torch.ones(2, 5, dtype=torch.long)
        if config.is_encoder_decoder and "decoder_input_ids" in takes:
            yield "decoder_input_ids", torch.ones(2, 4, dtype=torch.long)
    elif main == "pixel_values":
        height, width = _sides(getattr(config, "image_size", _SIDE))
        yield "pixel_values", torch.zeros(2, getattr(config, "num_channels", 3), height, width)
    else:
        raise BadInput(
            f"the inputs of a {type(model).__name__} are not known here (its main one is {main})",
            where=str(model.config.name_or_path),
            hint="Describe them: --input NAME:DTYPE[batch,...].",
        )


def _parameters(model: Any) -> Mapping[str, Any]:
    import inspect

    return inspect.signature(model.forward).parameters


def _sides(size: Any) -> tuple[int, int]:
    return (int(size), int(size)) if isinstance(size, int) else (int(size[0]), int(size[1]))
