"""Where the system refuses to write, there is one sentence, an exit code, and nothing is lost.

A slice of all attempts by default; every one with ``ANOKIT_ATTEMPTS=all``.
"""

import itertools

SLICE = 1

TOLD = {
    "full": "No space left on device; free some space there",
    "read-only": "Read-only file system",
    "forbidden": "Permission denied",
    "too long": "File name too long",
    "gone": "",
}
"""What the sentence holds, by the fault that the command meets."""


def test_what_cannot_be_written_is_told_in_a_sentence_and_loses_nothing(
    command, scene, attempt, chosen
):
    scene.begin()
    before = scene.left()
    done = attempt(scene.folder, scene.arguments)
    assert done["code"] == scene.code, done["log"]
    wanted = scene.left()
    every = sorted(itertools.product(TOLD, range(1, done["operations"] + 1)))
    for fault, number in chosen(every, SLICE):
        scene.begin()
        found = attempt(scene.folder, scene.arguments, fault, number)
        case = (fault, number, found["log"])
        told = [line for line in found["log"].splitlines() if line.startswith("error: ")]
        assert "Traceback" not in found["log"], case
        if told:
            assert found["code"] in (1, 2), case
            assert len(told) == 1, case
            assert TOLD[fault] in told[0], case
        else:  # what is only tidied up may stay
            assert found["code"] == scene.code, case
        if fault == "gone":
            continue
        left = scene.left()
        assert all(left.get(name) in (was, wanted.get(name)) for name, was in before.items()), case
        if again := scene.again():
            found = attempt(scene.folder, again)
            tidy = again != scene.arguments and "this run is finished" in found["log"]
            assert found["code"] == scene.code or tidy, (*case, found["log"])
        assert scene.left() == wanted, case
