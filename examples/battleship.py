"""Learn to play Battleship: ``python -m examples.battleship [--llm NAME]``.

A policy that knows nothing shoots at 5x5 boards. After each shot a model (without ``--llm``, a
script) reads what happened and may rewrite the policy's code. Printed is the percentage of ship
cells that this hits, on boards not seen in training, in half as many shots as a board has cells.
"""

# ruff: noqa: A002, ANN001, ANN201, D101, D102 (the policy is the one on the slides of Trace)

import argparse
import random
from collections.abc import Callable, Sequence

import trace_bridge as trace
from examples.battleship_board import Board
from examples.battleship_script import scripted


class Policy(trace.Module):
    def forward(self, map):
        plan = self.reason(map)
        return self.act(map, plan)

    # unsafe=True: code that the model wrote runs in this process, with all your rights
    @trace.bundle(trainable=True, unsafe=True)
    def reason(self, map):
        """Given a Battleship map, analyze the game."""
        return [0, 0]

    @trace.bundle(trainable=True, unsafe=True)
    def act(self, map, plan):
        """Given a map and plan, select a target coordinate."""
        return


def shoot(policy: Callable[..., object], board: Board) -> trace.Node:
    """One shot: a node of what the environment says, or of what was raised on the way to it."""
    try:
        return board.fire(policy(board.view()))
    except trace.ExecutionError as error:
        return error.node


@trace.no_trace()
def held_out(policy: Callable[..., object], boards: int = 100) -> float:
    """Percentage of ship cells hit, always on the same boards; a failed shot is a shot too."""
    rng, share = random.Random("held out"), 0.0
    for _ in range(boards):
        board = Board(rng, width=rng.randint(5, 9), height=rng.randint(5, 9))
        for _ in range(board.width * board.height // 2):
            shoot(policy, board)
        share += board.hits / len(board.fleet)
    return 100 * share / boards


def main(arguments: Sequence[str] | None = None) -> None:
    """Train shot by shot on a stream of boards, and print how well each version plays."""
    parser = argparse.ArgumentParser(prog="python -m examples.battleship")
    parser.add_argument("--llm", help="a model by its LiteLLM name, such as openai/gpt-4o")
    parser.add_argument("--iterations", type=int, default=8)
    options = parser.parse_args(arguments)
    llm = trace.LiteLLM(options.llm) if options.llm else scripted()
    policy, rng = Policy(), random.Random("training")
    optimizer, board, hit = trace.OptoPrime(policy.parameters(), llm), Board(rng), held_out(policy)
    print(f"[{llm.model}] iteration 0: {hit:4.1f} %")
    for step in range(1, options.iterations + 1):
        board = Board(rng) if board.sunk else board
        output = shoot(policy, board)
        optimizer.zero_feedback()
        optimizer.backward(output, output.data)
        if optimizer.step().state:  # otherwise it plays as before
            hit = held_out(policy)
        print(f"[{llm.model}] iteration {step}: {hit:4.1f} % after: {output.data.splitlines()[0]}")
    if options.llm:
        print(policy.export())


if __name__ == "__main__":
    main()
