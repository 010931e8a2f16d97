"""Optimizers beside their peers' known defects: ``python -m benchmarks.robustness [--quick]``.

Bad replies, truncation, models that refuse, and faults among equal components are replayed through
trace_bridge and through trace-opt, textgrad and gepa, each in an environment of its own, which is
built once (``benchmarks.core.peers``). All get the same task and the same mistakes:

- ``replies.py`` gives the mistakes of our tests' corpus in the form that each side asks for.
- ``letter.py`` is the task of the credit probe and its scripted model, which has to find feedback,
  steps and values in the prompt; ``forms.py`` reads them from each side's prompt.
- ``ours.py``, ``trace_opt.py``, ``textgrad.py`` and ``gepa.py`` do the same with each library, as
  its own documentation does it; ``worker.py`` runs them. ``rows.py`` asks, and judges ours.

Every model in here is scripted. There are counts and shares; ``benchmarks.core`` has the seconds.
What goes wrong when a run is killed and resumed is no matter of optimizers, and left out.
"""
