import threading
from concurrent.futures import ThreadPoolExecutor

from trace_bridge import seams_installed, subclasses


class Base:
    def shout(self):
        return "base"


class Sub(Base):
    def shout(self):
        return super().shout() + " sub"


class Silent(Base):
    pass


def places():
    for kind in subclasses(Base):
        yield kind, "shout", lambda original: lambda self: original(self) + "!"


def test_each_class_that_defines_the_method_has_a_seam_and_gets_its_own_back():
    before = [dict(vars(kind)) for kind in (Base, Sub, Silent)]
    with seams_installed(places):
        assert Base().shout() == "base!"
        assert Sub().shout() == "base! sub!"
        with seams_installed(places):  # entering again only counts
            assert Silent().shout() == "base!"
        assert Base().shout() == "base!"
        assert Base.shout.__name__ == "shout"
    assert [dict(vars(kind)) for kind in (Base, Sub, Silent)] == before


def test_what_somebody_else_patched_over_stays():
    def theirs(_):
        return "theirs"

    class Patched(Base):
        def shout(self):
            return "own"

    with seams_installed(lambda: [(Patched, "shout", lambda original: lambda self: "seam")]):
        Patched.shout = theirs
    assert Patched().shout() == "theirs"


def test_seams_come_and_go_from_many_threads():
    before = dict(vars(Base))
    barrier = threading.Barrier(8)

    def enter(_):
        barrier.wait()
        for _ in range(50):
            with seams_installed(places):
                assert Base().shout() == "base!"

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(enter, range(8)))
    assert dict(vars(Base)) == before


def test_subclasses_come_once_each():
    assert {Base, Sub, Silent} <= set(subclasses(Base))
    assert len(list(subclasses(Base))) == len(set(subclasses(Base)))


def test_layers_go_around_one_another_in_any_order_of_coming_and_going():
    class Thing:
        def name(self):
            return "thing"

    def around(word):
        return lambda original: lambda self: f"{word}({original(self)})"

    original = vars(Thing)["name"]
    lower = seams_installed(lambda: [(Thing, "name", around("low"))])
    upper = seams_installed(lambda: [(Thing, "name", around("up"))], 1)
    upper.__enter__()
    assert Thing().name() == "up(thing)"
    lower.__enter__()
    assert Thing().name() == "up(low(thing))"
    upper.__exit__(None, None, None)
    assert Thing().name() == "low(thing)"
    with seams_installed(lambda: [(Thing, "name", around("up"))], 1):
        lower.__exit__(None, None, None)
        assert Thing().name() == "up(thing)"
    assert vars(Thing)["name"] is original
