"""LangSmith's evaluators as metrics: how they want to be called, and what they return.

They take, by name, any of ``inputs, outputs, reference_outputs, run, example, attachments``. Two
arguments with other names are a metric of ours, ``(example, output)``, unless they are annotated as
LangSmith's ``Run`` and ``Example``.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID, uuid4

from langchain_core.messages import BaseMessage
from pydantic import BaseModel

from trace_bridge import Feedback, canonical_text, digest
from trace_bridge_langchain.examples import encode, given_of, plain, record_of
