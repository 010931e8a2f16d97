"""LangSmith's evaluators as metrics: how they want to be called, and what they return.

They take, by name, any of ``inputs, outputs, reference_outputs, run, example, attachments``. Two
arguments with other names are a metric of ours, ``(example, output)``, unless they are annotated as
LangSmith's ``Run`` and ``Example``.
"""

from __future__ import annotations
