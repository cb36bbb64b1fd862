from matplotlib.figure import Figure

from audioroto.train.metrics import MetricsLog, draw_curves, read_metrics


def test_a_resumed_log_forgets_what_came_after(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, 0)
    for update in (1, 2, 3):
        log.append(update=update, train_loss=1.0 / update)
    with open(path, "a") as file:
        file.write('{"update": 4, "tra')  # cut short by a crash
    assert [line["update"] for line in read_metrics(path)] == [1, 2, 3]
    MetricsLog(path, 2).append(update=3, train_loss=0.5)
    assert [line.get("train_loss") for line in read_metrics(path)] == [1.0, 0.5, 0.5]


def test_a_base_that_moves_is_a_curve(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    metrics = [
        {"update": u, "train_loss": 3.0 / u, "gradient_norm": 1.0, "rotary_base": 10000.0 * 1.25**u} for u in (1, 2, 3)
    ]
    draw_curves(metrics, tmp_path / "curves.png", "a run")
    (curve,) = next(axes for axes in drawn[0].axes if axes.get_title() == "rotary base").lines
    assert curve.get_ydata().tolist() == [line["rotary_base"] for line in metrics]


def test_curves_are_a_picture_even_of_nothing(tmp_path):
    draw_curves([], tmp_path / "curves.png", "a$_^$")  # no mathematics, though it looks like it
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
