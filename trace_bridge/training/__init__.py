"""The loop: evaluate, propose, accept, keep a journal, stay inside the budget."""
