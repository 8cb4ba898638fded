"""Declare torchvision's own operators, so that its models can be imported beside a PyTorch that its library is not for.

torchvision's wheel brings a library built for one PyTorch and CUDA; without it the models, which are Python, would
still run, but the package asks for its operators' schemas at import. Import this first; they cannot be called.
"""

from __future__ import annotations

import torch

_ROIS = "Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width"
_BACK = "Tensor grad, Tensor rois, {mapping}float spatial_scale, SymInt pooled_height, SymInt pooled_width"
_SIZES = "SymInt batch_size, SymInt channels, SymInt height, SymInt width"
_DEFORM = (
    "Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, SymInt stride_h, SymInt stride_w, "
    "SymInt pad_h, SymInt pad_w, SymInt dilation_h, SymInt dilation_w, SymInt groups, SymInt offset_groups, "
    "bool use_mask"
)
_PLAIN, _MAPPED = _BACK.format(mapping=""), _BACK.format(mapping="Tensor channel_mapping, ")

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    f"roi_align({_ROIS}, int sampling_ratio, bool aligned) -> Tensor",
    (
        "qroi_align(Tensor input, Tensor rois, float input_scale, int input_zero_point, float rois_scale, "
        "int rois_zero_point, float spatial_scale, int pooled_height, int pooled_width, int sampling_ratio, "
        "bool aligned) -> Tensor"
    ),
    f"_roi_align_backward({_PLAIN}, {_SIZES}, int sampling_ratio, bool aligned) -> Tensor",
    f"roi_pool({_ROIS}) -> (Tensor, Tensor)",
    f"_roi_pool_backward({_PLAIN.replace('Tensor rois,', 'Tensor rois, Tensor argmax,')}, {_SIZES}) -> Tensor",
    f"ps_roi_align({_ROIS}, int sampling_ratio) -> (Tensor, Tensor)",
    f"_ps_roi_align_backward({_MAPPED}, int sampling_ratio, {_SIZES}) -> Tensor",
    f"ps_roi_pool({_ROIS}) -> (Tensor, Tensor)",
    f"_ps_roi_pool_backward({_MAPPED}, {_SIZES}) -> Tensor",
    f"deform_conv2d({_DEFORM}) -> Tensor",
    f"_deform_conv2d_backward(Tensor grad, {_DEFORM}) -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
    "box_iou_rotated(Tensor boxes1, Tensor boxes2) -> Tensor",
    "_cuda_version() -> int",
)

LIBRARY = torch.library.Library("torchvision", "DEF")
for _schema in SCHEMAS:
    LIBRARY.define(_schema)
