"""What systems of one recipe are called."""

from anokit.runs.naming import told_apart

CONTENT = {"dataset": {"normal": ["cat", "dog"]}, "backbone": {"use": "n", "deep": {"size": 1}}}


def test_names_that_are_alone_stay():
    assert told_apart(["a", "b"], [{"x": 1}, {"x": 2}]) == ["a", "b"]


def test_what_differs_is_told_and_no_more():
    others = [{"dataset": {"normal": ["cat"]}, "backbone": CONTENT["backbone"]}, CONTENT]
    assert told_apart(["a", "a"], others) == ["a, normal cat", "a, normal cat dog"]
    deep = {**CONTENT, "backbone": {"use": "n", "deep": {"size": None}}}
    assert told_apart(["a", "a"], [CONTENT, deep]) == ["a, size 1", "a, size null"]
    two = [{"x": {"size": 1}, "y": {"size": 2}}, {"x": {"size": 2}, "y": {"size": 1}}]
    assert told_apart(["a", "a"], two)[0] == "a, x.size 1, y.size 2"


def test_what_takes_too_many_words_is_numbered():
    many = [{str(n): n * k for n in range(1, 9)} for k in (1, 2, 3)]
    assert told_apart(["a", "a", "a"], many) == ["a", "a (2)", "a (3)"]
    assert told_apart(["a", "a"], [{"x": "y" * 50}, {"x": "z"}]) == ["a", "a (2)"]
    assert told_apart(["a", "a"], [CONTENT, CONTENT]) == ["a", "a (2)"]
