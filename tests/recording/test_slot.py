from types import SimpleNamespace

from trace_bridge.recording import Slot


def slot(owner, **more):
    return Slot(
        "self:tags", owner, "tags", "value",
        decode=list, encode=lambda present, value: type(present)(value), **more,
    )  # fmt: skip


def test_values_are_decoded_and_encoded():
    owner = SimpleNamespace(tags=("a", "b"))
    there = slot(owner)
    assert there.get() == ["a", "b"]
    other = SimpleNamespace(tags=("c",))
    assert there.get(other) == ["c"]
    before = other.tags
    there.put(other, ["d"])
    assert other.tags == ("d",)
    assert before == ("c",)
    assert owner.tags == ("a", "b")


def test_the_consumer_is_the_owner_unless_another_object_is_fed():
    owner, reader = SimpleNamespace(tags=()), SimpleNamespace()
    assert slot(owner).consumer is owner
    assert slot(owner, feeds=reader).consumer is reader


def test_the_parameter_has_all_that_the_slot_says():
    def check(value):
        return "too long" if len(value) > 2 else None

    there = slot(
        SimpleNamespace(tags=("a",)), description="tags", constraint="at most two", check=check,
        choices=["a", "b"],
    )  # fmt: skip
    p = there.parameter()
    assert (p.base, p.name, p.kind) == (["a"], "self:tags", "value")
    assert (p.description, p.constraint, p.choices) == ("tags", "at most two", ["a", "b"])
    assert p.refusal([1, 2, 3]) == "too long"
    assert there.parameter() is not p


def test_slots_are_told_apart_by_identity():
    owner = SimpleNamespace(tags=())
    assert slot(owner) != slot(owner)
    assert len({slot(owner), slot(owner)}) == 2


def test_a_number_may_have_bounds():
    owner = SimpleNamespace(heat=0.5)
    there = Slot(
        "self:heat", owner, "heat", "number", decode=float, encode=lambda _, value: value,
        bounds=(0, 2),
    )  # fmt: skip
    assert there.parameter().bounds == (0, 2)
