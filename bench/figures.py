"""How figures are written: three digits that matter, and a unit a reader can compare at a glance."""


def digits(value):
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) >= 1 else f"{value:.2g}"


def amount(value, unit):
    """value as text; the units are those of the reports that pipit-bench makes."""
    if unit == "/s":
        for limit, suffix in ((1e6, " M/s"), (1e3, " k/s")):
            if abs(value) >= limit:
                return f"{digits(value / limit)}{suffix}"
        return f"{digits(value)} /s"
    if unit == "KiB":
        return f"{digits(value * 1024 / 1e6)} MB"
    if unit == "B" and abs(value) >= 10000:
        return f"{digits(value / 1024)} KiB"
    if unit == "us" and abs(value) >= 1000:
        return f"{digits(value / 1000)} ms"
    if unit == "s/M":
        return f"{digits(value)} s"
    return f"{digits(value)} {unit}"
