"""Language models: the protocol and the gate, LiteLLM, the embedded server."""
