"""Spelling times for people."""


def duration(seconds: float) -> str:
    """Returns minutes and seconds as "3:07", with hours before them where there are any."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
