"""Whenever a command is killed, the same command again or --resume leaves what it would have left.

A slice of all attempts by default; every one with ``ANOKIT_ATTEMPTS=all``.
"""

SLICE = 1


def test_a_command_killed_at_any_file_operation_loses_nothing(command, scene, attempt, chosen):
    scene.begin()
    done = attempt(scene.folder, scene.arguments)
    assert done["code"] == scene.code, done["log"]
    wanted = scene.left()
    assert done["operations"] > 1
    for number in chosen(range(1, done["operations"] + 1), SLICE):
        scene.begin()
        assert attempt(scene.folder, scene.arguments, "kill", number)["code"] is None
        again = scene.again()
        if again:
            found = attempt(scene.folder, again)
            tidy = again != scene.arguments and "this run is finished" in found["log"]
            assert found["code"] == scene.code or tidy, (number, found["log"])
        assert scene.left() == wanted, number
