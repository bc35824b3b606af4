"""Measure what a model costs: time, memory and operations of every stage (docs/performance.md).

``san benchmark`` runs in a light process (`settings`, `processes`, `summary`, `report`, `plots`),
which imports no PyTorch. Each setting is measured in a process of its own (`worker`), so that peaks
of memory, threads and the allocator are its own.
"""
