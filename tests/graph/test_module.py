import copy

import pytest

from trace_bridge.graph import Module, Parameter, bundle, node


class Inner(Module):
    def __init__(self, text="inner"):
        self.prompt = node(text, trainable=True)

    def forward(self, question):
        return self.prompt + question


class Outer(Module):
    limit = 3  # a constant of the class

    def __init__(self):
        self.first = node("first", trainable=True)
        self.number = node(1, trainable=True)
        self.plain = node("not trained")
        self.steps = [Inner("a"), (Inner("b"),)]
        self.by_name = {"x/y": node("c", trainable=True), 2: Inner("d")}
        self.same = self.first
        self.child = self.steps[0]

    @property
    def costly(self):
        raise AssertionError("properties are not evaluated")

    @bundle(trainable=True)
    def act(self, value):
        return value

    @bundle
    def look(self, value):
        return value


PATHS = [
    "self:first",
    "self:number",
    "steps/0:prompt",
    "steps/1/0:prompt",
    "by_name:x%2Fy",
    "by_name/2:prompt",
    "act:code",
]


def test_parameters_are_found_everywhere_and_once():
    module = Outer()
    named = list(module.named_parameters())
    assert [path for path, _ in named] == PATHS
    assert len({id(parameter) for _, parameter in named}) == len(named)
    assert [id(p) for p in module.parameters()] == [id(p) for _, p in named]


def test_names_are_stable():
    module = Outer()
    assert module.act("x").peek() == "x"  # whatever was used before
    assert module.look("x").peek() == "x"
    first = [(path, id(parameter)) for path, parameter in module.named_parameters()]
    assert [path for path, _ in first] == PATHS
    assert [(path, id(parameter)) for path, parameter in module.named_parameters()] == first


def test_a_parameter_goes_by_its_path():
    module = Outer()
    assert [parameter.name for parameter in module.parameters()] == PATHS


def test_a_name_that_the_user_gave_stays():
    class Named(Module):
        def __init__(self):
            self.prompt = node("x", trainable=True, name="mine")

    module = Named()
    [(path, parameter)] = module.named_parameters()
    assert (path, parameter.name) == ("self:prompt", "mine")


def test_the_outer_module_names_what_inner_ones_have_named():
    module = Outer()
    for inner in (module.steps[0], module.steps[1][0], module.by_name[2]):
        assert [parameter.name for parameter in inner.parameters()] == ["self:prompt"]
    assert [parameter.name for parameter in module.parameters()] == PATHS
    assert module.steps[0].state_dict() == {"self:prompt": "a"}
    assert [parameter.name for parameter in module.parameters()] == PATHS  # and it stays so


def test_asking_an_inner_module_later_does_not_rename():
    module = Outer()
    names = [parameter.name for parameter in module.parameters()]
    module.steps[0].parameters()
    assert [parameter.name for _, parameter in module.named_parameters()] == names
    assert module.steps[0].prompt.name == "steps/0:prompt"


def test_two_parameters_never_share_a_path():
    class Twice(Module):
        def __init__(self):
            self.texts = {1: node("a", trainable=True), "1": node("b", trainable=True)}

    with pytest.raises(ValueError, match="texts:1"):
        Twice().state_dict()


def test_modules_may_contain_each_other():
    module, other = Inner(), Inner("other")
    module.other, other.back = other, module
    assert [path for path, _ in module.named_parameters()] == ["self:prompt", "other:prompt"]


def test_a_module_without_parameters():
    assert Module().parameters() == []
    with pytest.raises(NotImplementedError, match="Module does not define forward"):
        Module()()


def test_calling_runs_forward():
    assert Inner()("?").peek() == "inner?"


# ------------------------------------------------------------------ states


def test_a_state_round_trips():
    module = Outer()
    state = module.state_dict()
    assert list(state) == PATHS
    module.load_state_dict({**state, "self:first": "new", "self:number": 2.5})
    assert module.first.base == "new"
    module.load_state_dict(state)
    assert module.state_dict() == state


def test_the_state_shows_the_overlay():
    module = Inner()
    with module.using({"self:prompt": "there"}):
        assert module.state_dict() == {"self:prompt": "there"}
        assert module("?").peek() == "there?"
    assert module.state_dict() == {"self:prompt": "inner"}


@pytest.mark.parametrize(
    ("state", "error", "reason"),
    [
        ({"self:first": "new", "self:nothing": "x"}, LookupError, r"no parameter self:nothing; "),
        ({"self:first": "new", "self:number": "x"}, ValueError, "self:number: must be a number"),
        ({"self:first": "new", "act:code": "x ="}, ValueError, "act:code: does not parse"),
        ({"self:number": 2, "self:first": ""}, ValueError, "self:first: must not be empty"),
    ],
)
def test_a_state_is_taken_as_a_whole_or_not_at_all(state, error, reason):
    module = Outer()
    before = module.state_dict()
    for take in (module.load_state_dict, module.using):
        with pytest.raises(error, match=reason):
            take(state)
    assert module.state_dict() == before


def test_an_unknown_path_lists_what_there_is():
    with pytest.raises(LookupError, match="there are: self:prompt"):
        Inner().using({"x": "y"})
    with pytest.raises(LookupError, match="there are: none"):
        Module().using({"x": "y"})


def test_values_that_the_user_began_with_can_be_restored():
    class Empty(Module):
        def __init__(self):
            self.prompt = Parameter("")
            self.other = Parameter("x")

    module = Empty()
    state = module.state_dict()
    module.load_state_dict({"self:prompt": "better", "self:other": "y"})
    module.load_state_dict(state)
    assert module.state_dict() == state
    with module.using({"self:prompt": "better"}), module.using(state):
        assert module.state_dict() == state


def test_a_deep_copy_is_another_agent():
    module = Outer()
    assert module.act("x").peek() == "x"
    other = copy.deepcopy(module)
    other.load_state_dict({"self:first": "theirs"})
    assert module.first.base == "first"
    assert {id(p) for p in module.parameters()}.isdisjoint(id(p) for p in other.parameters())
    with module.using({"self:first": "ours"}):
        assert other.first.peek() == "theirs"
