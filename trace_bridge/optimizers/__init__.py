"""Optimizers: from subgraphs with feedback to proposals."""
