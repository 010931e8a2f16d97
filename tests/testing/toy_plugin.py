"""A complete plugin for the toy framework: candidates on copies, counted seams, the gate."""

import contextlib
import copy
import threading
from contextvars import ContextVar

import toy_framework

import trace_bridge as tb

STEPS = ("shorten", "translate")

# the steps that run now, by identity: name, parameters, and whether it is the user's own
active = ContextVar("active", default={})  # noqa: B039 (it is only read)


class ToyModule(tb.AgentModule):
    framework = "toy_framework"

    def slots(self):
        return [self.slot(name) for name in STEPS]

    def slot(self, name):
        return tb.Slot(
            path=f"{name}:prompt", owner=getattr(self.agent, name), attribute="prompt",
            kind="prompt", decode=lambda value: value, encode=lambda present, value: value,
        )  # fmt: skip

    def copied(self, state):
        agent = copy.copy(self.agent)
        agent.log = []
        for name in STEPS:
            step = copy.copy(getattr(self.agent, name))
            step.prompt = state[f"{name}:prompt"]
            setattr(agent, name, step)
        return agent

    def run(self, example):
        agent = self.copied(self.state_dict())
        with self.entered(agent):
            return agent(example["text"])

    def attached(self):
        return self.entered(self.agent)

    @contextlib.contextmanager
    def entered(self, agent):
        parameters = dict(self.named_parameters())
        token = active.set(
            {
                id(getattr(agent, name)): (
                    name, {"prompt": parameters[f"{name}:prompt"]}, agent is self.agent,
                )
                for name in STEPS
            }
        )  # fmt: skip
        try:
            yield
        finally:
            active.reset(token)

    def apply(self, state):
        self.resolve(state)
        for name in STEPS:
            path = f"{name}:prompt"
            if path in state:
                getattr(self.agent, name).prompt = state[path]
        self.load_state_dict(state)

    def export(self, state, format=""):  # noqa: A002
        self.resolve(state)
        if format:
            raise ValueError(f"unknown format {format!r}; there is only the agent itself")
        return self.copied({**self.state_dict(), **state})


def step_seam(original):
    def __call__(self, text):  # noqa: N807
        call = tb.current_call()
        if call is None or id(self) not in active.get():
            return original(self, text)
        name, parameters, users = active.get()[id(self)]
        own = copy.copy(self) if users else self
        if users:  # attached: the user's own step has none of the current values
            own.prompt = parameters["prompt"].peek()
        with call.component(name, {"text": text}, parameters) as made:
            output = original(own, text)
            made.returns(output)
        return output

    return __call__


def model_seam(original):
    def complete(self, prompt):
        with tb.model_call("toy"):
            return original(self, prompt)

    return complete


class Plugin:
    """What is registered; the broken ones of the tests override a part."""

    module = ToyModule
    seams = (
        (toy_framework.Step, "__call__", step_seam),
        (toy_framework.Model, "complete", model_seam),
    )

    def __init__(self):
        self._lock = threading.Lock()
        self._users = 0
        self._originals = []

    @tb.hookimpl
    def wrap(self, agent):
        return self.module(agent) if isinstance(agent, toy_framework.Agent) else None

    @tb.hookimpl
    def instrument(self):
        return self.installed()

    @contextlib.contextmanager
    def installed(self):
        with self._lock:
            self._users += 1
            if self._users == 1:
                for owner, name, make in self.seams:
                    self._originals.append((owner, name, vars(owner)[name]))
                    setattr(owner, name, make(vars(owner)[name]))
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    self.remove()

    def remove(self):
        for owner, name, original in self._originals:
            setattr(owner, name, original)
        self._originals.clear()
