"""The people who ask, and what a model might answer, to run ``examples.langchain_movies`` alone.

Nothing is learned here: the reader of wishes is a function, and the proposals are written down. But
each gives something useful only where its prompt asks for it, or shows what has failed.
"""

import json
import random
import re
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from examples.langchain_movies_chain import FILMS
from trace_bridge.testing import ScriptedLLM

GENRES = sorted({film["genre"] for film in FILMS})
TITLES = {film["title"]: film for film in FILMS}

PROMPT = """\
Read what films are wished for and answer with a JSON object of the keys genre, since (a year),
before (a year) and family (true or false): {query}"""

CODE = '''\
def pick(wish):
    """Pick three titles of FILMS, of which each has title, year, genre and family."""
    found = [
        film["title"]
        for film in FILMS
        if film["genre"] == wish.get("genre", film["genre"])
        and wish.get("since", 0) <= film["year"] < wish.get("before", 9999)
        and (film["family"] or not wish.get("family"))
    ]
    return found[:3]'''


def fits(film: dict[str, Any], wish: dict[str, Any]) -> list[str]:
    """What is wrong with a film, in the words of who asked."""
    wrong = []
    if film["genre"] != wish["genre"]:
        wrong.append(f"is not of the genre {wish['genre']}")
    if not wish["since"] <= film["year"] < wish["before"]:
        wrong.append(f"is from {film['year']}")
    if wish["family"] and not film["family"]:
        wrong.append("is not for children")
    return wrong


def wishes(count: int, seed: str) -> list[dict[str, Any]]:
    """Examples in LangSmith's form, for each of which there are three films at least."""
    rng, found = random.Random(seed), []
    while len(found) < count:
        since = rng.randrange(1930, 2000, 10)
        wish = {
            "genre": rng.choice(GENRES), "since": since,
            "before": since + rng.choice((20, 30, 40)), "family": rng.random() < 0.5,
        }  # fmt: skip
        if sum(not fits(film, wish) for film in FILMS) < 3:
            continue
        query = f"A film of the genre {wish['genre']}, since {since} and before {wish['before']}"
        query += ", for my children." if wish["family"] else "."
        found.append({"inputs": {"query": query}, "outputs": wish})
    return found


def judge(outputs: Any, reference_outputs: dict[str, Any]) -> dict[str, Any]:
    """An evaluator in LangSmith's form: how many of three films are right, and what is wrong."""
    titles = outputs["output"] if isinstance(outputs, dict) else outputs
    films = [TITLES[title] for title in titles if title in TITLES][:3]
    said = [
        f"{film['title']} {reason}." for film in films for reason in fits(film, reference_outputs)
    ]
    right = sum(not fits(film, reference_outputs) for film in films)
    comment = " ".join(said) or "These films are what I asked for."
    return {"key": "right", "score": right / 3, "comment": comment}


class Reader(BaseChatModel):
    """A model that reads wishes; it tells those for which its prompt asks by name."""

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> Any:
        prompt = str(messages[-1].content)
        asked, _, query = prompt.rpartition("A film of the genre")
        told = {
            "genre": next(genre for genre in GENRES if query.strip().startswith(genre)),
            "since": int(re.search(r"since (\d+)", query)[1]),
            "before": int(re.search(r"before (\d+)", query)[1]),
            "family": "children" in query,
        }
        answer = json.dumps({key: value for key, value in told.items() if key in asked})
        return ChatResult(generations=[ChatGeneration(message=AIMessage(answer))])


def scripted() -> ScriptedLLM:
    """Proposes both changes, where its prompt shows the code, the prompt and what failed."""
    return ScriptedLLM().when(
        re.compile(r"<value>\nWhich films would you recommend\? \{query\}\n</value>"),
        re.compile(r"return \[film\[\"title\"\] for film in FILMS\]\[:3\]\s*</value>"),
        re.compile(r"is not of the genre|is from \d+|is not for children"),
        reply=(
            "<reasoning>The wish is neither asked for nor heeded.</reasoning>\n"
            f'<variable name="prompt_human_template">\n{PROMPT}\n</variable>\n'
            f'<variable name="pick_code">\n{CODE}\n</variable>'
        ),
    )
