"""A complete framework in twenty lines: agents of two steps, each with a prompt, and a model."""

import time


class Model:
    """Pretends to be a model: the answer shows the whole prompt."""

    def __init__(self):
        self.calls = 0

    def complete(self, prompt):
        self.calls += 1
        time.sleep(0.001)  # so that concurrent runs do overlap
        return f"<{prompt}>"


class Step:
    def __init__(self, prompt, model):
        self.prompt = prompt
        self.model = model

    def __call__(self, text):
        return self.model.complete(f"{self.prompt} {text}")


class Agent:
    def __init__(self):
        model = Model()
        self.shorten = Step("Shorten.", model)
        self.translate = Step("Translate.", model)
        self.log = []

    def __call__(self, text):
        return self.translate(self.shorten(text))
