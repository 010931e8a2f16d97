"""A film adviser in plain LangChain, as somebody might have it: it knows nothing of trace_bridge.

A prompt asks a model what is wished for, a parser reads its JSON, and a function picks three films.
"""

# ruff: noqa: ANN001, ANN201, ARG001 (what is trained is short, and knows no wish yet)

import csv
from pathlib import Path

from langchain_core.language_models import BaseChatModel
from langchain_core.output_parsers import JsonOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableLambda

with (Path(__file__).parent / "data" / "films.csv").open(encoding="utf-8") as file:
    FILMS = [
        {**row, "year": int(row["year"]), "family": row["family"] == "yes"}
        for row in csv.DictReader(file)
    ]


def pick(wish):
    """Pick three titles of FILMS, of which each has title, year, genre and family."""
    return [film["title"] for film in FILMS][:3]


def chain(model: BaseChatModel) -> Runnable:
    """The adviser: from a query to three titles."""
    prompt = ChatPromptTemplate.from_template("Which films would you recommend? {query}")
    return prompt | model | JsonOutputParser() | RunnableLambda(pick)
