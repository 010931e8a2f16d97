"""``make demo``: an ordinary DSPy program gets better on a real, embedded language model.

The program is ``examples/dspy_program.py``, which knows nothing of trace_bridge; the model is
SmolLM2-135M on a loopback port, so this needs no key, no account and no network. Run it again and
it resumes from the journal and repeats nothing.
"""

import time
from pathlib import Path

import dspy

import trace_bridge
from examples.dspy_program import Citation, exact, load_examples

HERE = Path(__file__).parent
OUT = Path(".trace_bridge")
DEMOS = "cite:demos"


def main() -> None:
    """Optimize the program, and show what came of it."""
    examples = load_examples(HERE / "data" / "names.csv")
    train, validation, held_out = examples[:80], examples[80:122], examples[122:194]
    started = time.monotonic()
    server = trace_bridge.embedded()
    lm = dspy.LM(
        f"openai/{server.model}",
        api_base=server.base_url,
        api_key=server.api_key,
        temperature=0.0,
        max_tokens=16,
        cache=False,  # so that every call below is a real one
    )
    print(f"{server.model} answers at {server.base_url} after {time.monotonic() - started:.1f} s")
    sizes = f"{len(train)} training, {len(validation)} validation, {len(held_out)} held-out"
    print(f"data: {sizes} examples of {HERE.name}/data/names.csv")
    dspy.disable_logging()  # zero-shot, the model talks on; DSPy would warn of each long reply
    program = Citation()
    plain = [{"name": e.name, "citation": e.citation} for e in train[:8]]
    with dspy.context(lm=lm):
        run = trace_bridge.optimize(
            program,
            train,
            exact,
            valset=validation,
            testset=held_out,
            trainable=[DEMOS],  # its instruction would need a stronger model that proposes
            optimizer="bootstrap",
            budget=trace_bridge.Budget(evaluations=560),
            engine=trace_bridge.Engine(concurrency=server.slots, journal=OUT / "demo.sqlite"),
            baselines={"plain 8 demonstrations": {DEMOS: plain}},
        )
    print(run)
    print(run.diff())
    print(f"tuned program: {run.save(OUT / 'tuned.json')}")
    print(f"journal: {run.record.journal}")


if __name__ == "__main__":
    main()
