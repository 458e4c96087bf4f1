"""The recipe for RotatingFileHandler: names with a date, made once and never changed."""

import datetime
import logging.handlers
import os


def rotate(source, dest):
    stamp = datetime.datetime.now().isoformat(timespec="milliseconds").replace(":", "-")
    os.rename(source, f"{source}.{stamp}")


handler = logging.handlers.RotatingFileHandler("logs/app.log", maxBytes=100_000, backupCount=1)
handler.rotator = rotate

logger = logging.getLogger("app")
logger.addHandler(handler)
for number in range(1, 10_001):
    logger.warning("this is a record of some length: line %d", number)
