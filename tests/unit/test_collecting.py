"""Metrics in what a program prints."""

import math
import random

import pytest

from service.schedulers.executors.process.collecting import MAX_LINE_BYTES, Collector, Row


def collect(text: bytes, *metrics: str, step_metric: str | None = None) -> list[Row]:
    collector = Collector(metrics or ("accuracy",), step_metric)
    return [*collector.feed(text), *collector.finish()]


def values(text: bytes) -> list[float]:
    return [row.values["accuracy"] for row in collect(text)]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"accuracy=0.93", 0.93),
        (b"accuracy = 0.93", 0.93),
        (b"2026-01-01 INFO: accuracy=0.93, loss=0.1", 0.93),
        (b"[accuracy=0.93]", 0.93),
        (b"accuracy=0.93.", 0.93),
        (b"accuracy=93%", 93.0),
        (b"accuracy=-1e-3", -1e-3),
        (b"accuracy=+.5E2", 50.0),
        (b"accuracy=7", 7.0),
        (b"accuracy=7.", 7.0),
        (b"accuracy=inf", math.inf),
        (b"accuracy=-Infinity", -math.inf),
        (b"\x1b[1maccuracy\x1b[0m=\x1b[32m0.93\x1b[0m", 0.93),
        (b"\xff\xfe\0 accuracy=0.93 \xff", 0.93),
        (b"\tepoch 3\taccuracy=0.93", 0.93),
    ],
)
def test_value(line: bytes, value: float):
    assert values(line + b"\n") == [value]


@pytest.mark.parametrize("text", [b"nan", b"NaN", b"-nan", b"+NAN"])
def test_nan_is_a_value(text: bytes):
    (value,) = values(b"accuracy=" + text + b"\n")
    assert math.isnan(value)


@pytest.mark.parametrize(
    "line",
    [
        *(b"val_accuracy=0.9", b"val-accuracy=0.9", b"val/accuracy=0.9", b"val.accuracy=0.9"),
        *(b"accuracy_top5=0.9", b"Accuracy=0.9", b"accuracy 0.9", b"accuracy: 0.9"),
        *(b"accuracy=high", b"accuracy=", b"accuracy=1.2.3", b"accuracy=0.9abc", b"accuracy=1_000"),
        *(b"accuracy==0.9", b"accuracy=nano", b"\xc3\xa9accuracy=0.9", b"loss=0.9"),
    ],
)
def test_no_value(line: bytes):
    assert values(line + b"\n") == []


def test_several_metrics_of_a_line_are_one_row():
    rows = collect(b"loss=0.5 val/acc=0.75 other=1\nval/acc=1\n", "loss", "val/acc")

    assert rows == [Row(0, {"loss": 0.5, "val/acc": 0.75}), Row(1, {"val/acc": 1.0})]


def test_last_of_two_values_in_a_line_counts():
    assert values(b"accuracy=0.1 accuracy=0.2\n") == [0.2]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_lines_may_end_as_those_of_a_progress_bar(end: bytes):
    assert values(end.join([b"accuracy=0.1", b"accuracy=0.2", b"50%|###  |", b""])) == [0.1, 0.2]


def test_last_line_needs_no_end():
    assert values(b"accuracy=0.1\naccuracy=0.2") == [0.1, 0.2]


def test_unfinished_line_waits():
    collector = Collector(["accuracy"])

    assert list(collector.feed(b"accuracy=0.9")) == []
    assert list(collector.feed(b"3 step=")) == []
    assert list(collector.feed(b"7\r")) == [Row(7, {"accuracy": 0.93})]


def test_output_may_be_cut_into_pieces_anywhere():
    generator = random.Random(1)
    text = b"".join(
        generator.choice([b"noise ", b"accuracy=%d step=%d\n" % (n, 2 * n), b"\r", b"x" * 90])
        for n in range(500)
    )
    expected = collect(text)
    collector, rows = Collector(["accuracy"]), []
    while text:
        length = generator.randint(1, 200)
        rows += collector.feed(text[:length])
        text = text[length:]

    assert len(expected) > 50
    assert rows + list(collector.finish()) == expected


@pytest.mark.parametrize(
    ("line", "step"),
    [
        (b"step=3 accuracy=1", 3),
        (b"accuracy=1 step = 3", 3),
        (b"step=3.0 accuracy=1", 3),
        (b"step=3/10 accuracy=1", 3),
        (b"step=0003 accuracy=1", 3),
        (b"step=-1 accuracy=1", 0),
        (b"step=2.5 accuracy=1", 0),
        (b"step=nan accuracy=1", 0),
        (b"step=inf accuracy=1", 0),
        (b"step=2147483648 accuracy=1", 0),
        (b"epoch=3 accuracy=1", 0),
    ],
)
def test_step_of_a_line(line: bytes, step: int):
    assert collect(line) == [Row(step, {"accuracy": 1.0})]


def test_rows_without_a_step_follow_the_last_one():
    rows = collect(b"accuracy=1\naccuracy=1\naccuracy=1 step=10\naccuracy=1\n")

    assert [row.step for row in rows] == [0, 1, 10, 11]


def test_steps_never_pass_the_largest():
    rows = collect(b"accuracy=1 step=2147483647\naccuracy=1\n")

    assert [row.step for row in rows] == [2147483647, 2147483647]


def test_step_may_have_another_name():
    rows = collect(b"epoch=4 step=900 accuracy=1\n", step_metric="epoch")

    assert [row.step for row in rows] == [4]


def test_metric_called_step_is_a_metric():
    assert collect(b"step=7\nstep=8\n", "step") == [Row(0, {"step": 7.0}), Row(1, {"step": 8.0})]


def test_last_values_outlive_their_rows():
    collector = Collector(["loss", "accuracy"])
    for _ in collector.feed(b"loss=1\naccuracy=0.5\nloss=2\n"):
        pass

    assert collector.values == {"loss": 2.0, "accuracy": 0.5}


def test_long_line_is_cut_between_words():
    padding = b"." * (MAX_LINE_BYTES - 20)

    assert values(b"accuracy=0.1 " + padding + b" accuracy=0.93\n") == [0.1]
    assert values(padding + b" " + b"accuracy=0.9345678901234567\naccuracy=0.2\n") == [0.2]


@pytest.mark.parametrize(
    "word", [b"1", b" ", b".", b"e", b"accuracy", b"\x1b[", b"=", b"accuracy="]
)
def test_no_line_takes_long(word: bytes):
    text = b"accuracy=1" + word * (MAX_LINE_BYTES // len(word)) + b"_\naccuracy=0.5\n"

    assert values(text)[-1] == 0.5


def test_long_line_is_not_kept():
    collector = Collector(["accuracy"])
    for _ in range(100):
        assert list(collector.feed(b"accuracy=0.5 " + b"." * MAX_LINE_BYTES)) == []

    assert len(collector._begun) <= MAX_LINE_BYTES
    assert [row.values["accuracy"] for row in collector.feed(b"\naccuracy=0.6\n")] == [0.5, 0.6]


def test_last_line_is_the_last_with_something_on_it():
    collector = Collector(["accuracy"])
    for _ in collector.feed(b"one\naccuracy=1\nTraceback\nValueError: no\n  \n\n"):
        pass

    assert collector.last_line == b"ValueError: no"
    assert list(collector.finish()) == []
    assert collector.last_line == b"ValueError: no"
