"""Train a model in PyTorch, Keras or low-level TensorFlow; each trainer ends in a `toolkit.artifact.Artifact`."""
