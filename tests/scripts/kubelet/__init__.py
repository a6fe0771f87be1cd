"""Plays the node under a pod, as far as a pod can tell: kubelet, its container runtime, its network.

Kubernetes' documentation of a pod's life, and KEP-753 for native sidecars, say what kubelet does and in which order.
"""
