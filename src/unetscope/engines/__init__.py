"""Engines: what computes a network, in torch, OpenVINO or ONNX Runtime, and which of them to take."""
