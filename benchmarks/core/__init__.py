"""The graph core beside its peers, measured in the same run: ``python -m benchmarks.core``.

How it is measured, and why (the machines that run this are shared and noisy):

- CPU time of worker processes (``time.process_time``), never wall time. The garbage collector is
  on, as in use; it runs once before each measurement, outside of it.
- One worker process for each side: ours in the project's environment, each peer in one of its own
  below ``.venv-benchmarks``, built from ``pins/``. They are told over pipes, in JSON lines, which
  case to run and how often.
- Both sides run the same program text (``calls.py``, ``graphs.py``); what their interfaces call
  differently is in ``sides.py``, side by side. The edges that both found and the characters that
  both wrote are printed: they are counts, which do not depend on the machine.
- Rounds alternate between ours and the peer. A ratio is the median over pairs of rounds, and the
  range that is printed beside it is that of the middle four fifths of the pairs.

Every model in here is a stub that answers at once.
"""
