"""Numbers of an ablation in words, for its text, Markdown, notebooks and pages."""

from __future__ import annotations

from recipe.ablation.statistics.results import Interval


def signed(value: float) -> str:
    """Return a difference in points, with a third digit if two would not show its sign.

    >>> signed(-0.0123), signed(-0.00003), signed(-1e-17)
    ('−1.23', '−0.003', '+0.00')
    """
    points = 100 * value
    digits = 3 if 0.0005 <= abs(points) < 0.005 else 2
    return f"{round(points, digits) + 0.0:+.{digits}f}".replace("-", "−")


def points(value: float) -> str:
    """Return a difference in points without digits that are zero.

    >>> points(-0.015), points(0.02)
    ('−1.5', '+2')
    """
    return f"{round(100 * value, 6):+g}".replace("-", "−")


def ends(interval: Interval | None) -> str:
    """Return the ends of an interval of a difference in points, or nothing."""
    return "" if interval is None else f"{signed(interval.low)} to {signed(interval.high)}"


def percent(value: float | None) -> str:
    """Return a top-1 in percent, or a dash.

    >>> percent(0.7654)
    '76.54'
    """
    return "–" if value is None else f"{100 * value:.2f}"


def between(interval: Interval | None) -> str:
    """Return the ends of an interval of a top-1 in percent, or nothing."""
    return "" if interval is None else f"{percent(interval.low)} to {percent(interval.high)}"


def added(fraction: float | None, digits: int = 0) -> str:
    """Return a change of a cost in percent, or nothing.

    >>> added(0.051), added(-0.0612, 1), added(-0.001)
    ('+5 %', '−6.1 %', '+0 %')
    """
    return "" if fraction is None else f"{round(100 * fraction, digits) + 0.0:+.{digits}f} %".replace("-", "−")
