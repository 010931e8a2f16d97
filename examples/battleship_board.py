"""Battleship as an environment: a hidden fleet, a map of what is known, and shots in words."""

import random

import trace_bridge as trace

SHIPS = (3, 3, 2)  # how many cells each takes; without the larger ones, which would fill 5x5


class Board:
    """A fleet that lies somewhere on ``height`` rows of ``width`` cells, at least 4 of each."""

    def __init__(self, rng: random.Random, width: int = 5, height: int = 5) -> None:
        self.width, self.height = width, height
        self.map = [["."] * width for _ in range(height)]
        self.fleet: set[tuple[int, int]] = set()
        for length in SHIPS:
            places: list[set[tuple[int, int]]] = []
            for down, right in ((0, 1), (1, 0)):
                for row in range(height - down * (length - 1)):
                    for column in range(width - right * (length - 1)):
                        cells = {(row + i * down, column + i * right) for i in range(length)}
                        places += [] if cells & self.fleet else [cells]
            self.fleet |= rng.choice(places)

    @property
    def hits(self) -> int:
        """How many cells of ships have been hit."""
        return sum(row.count("X") for row in self.map)

    @property
    def sunk(self) -> bool:
        """Whether the game is over."""
        return self.hits == len(self.fleet)

    def view(self) -> list[list[str]]:
        """What a player may see, to keep: "." unknown, "X" hit, "O" missed."""
        return [row.copy() for row in self.map]

    @trace.bundle
    def fire(self, target: object) -> str:
        """Shoot at target, [row, column] counted from 0, and say what happened.

        Raises:
            ValueError: if there is no such cell.
        """
        match target:
            case [int(row), int(column)] if 0 <= row < self.height and 0 <= column < self.width:
                known = self.map[row][column]
            case _:
                size = f"{self.height} rows and {self.width} columns"
                raise ValueError(f"{target!r} is no [row, column] of a board of {size}")
        if known != ".":
            return f"Got 0 reward: [{row}, {column}] was shot at before."
        is_hit = (row, column) in self.fleet
        self.map[row][column] = "X" if is_hit else "O"
        return f"Got {int(is_hit)} reward: {'hit' if is_hit else 'missed'} at [{row}, {column}]."
