"""Where and why two models part: the first operator whose result the source never computes, and its likely cause.

Both sides are written as ONNX and run in float64 in PyTorch with every intermediate result kept (`trace`). Results are
matched by their numbers, whatever their names, shapes and layouts (`match`); where the matches end is the place
(`frontier`), and comparing the operators there tells the cause (`causes`), which is proved by mending it (`mend`).
"""
