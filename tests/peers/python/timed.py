"""The recipe for TimedRotatingFileHandler, with which every version of Python counts the .gz. Each rotation is one day later."""

import logging.handlers
import os
import time


def namer(name):
    return name + ".gz"


def rotate(source, dest):
    os.rename(source, dest[: -len(".gz")])


handler = logging.handlers.TimedRotatingFileHandler("logs/app.log", when="midnight", backupCount=3)
handler.namer = namer
handler.rotator = rotate

logger = logging.getLogger("app")
logger.addHandler(handler)
FIRST = time.mktime((2025, 3, 1, 0, 0, 0, 0, 0, -1))
logger.warning("line 0")
for day in range(1, 9):
    handler.rolloverAt = int(FIRST) + (day + 1) * 86_400
    logger.warning("line %d", day)
    end = time.monotonic() + 60
    while not all(name == "app.log" or name.endswith(".gz") for name in os.listdir("logs")):
        assert time.monotonic() < end, os.listdir("logs")
        time.sleep(0.005)
