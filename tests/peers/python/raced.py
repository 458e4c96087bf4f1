"""RotatingFileHandler as it is, when app.log.1 goes between its look and its rename: the worst moment, made to come."""

import logging.handlers
import os
import time

exists = os.path.exists


def look(path):
    found = exists(path)
    end = time.monotonic() + 60
    while found and os.fspath(path).endswith("app.log.1") and exists(path):
        assert time.monotonic() < end, "app.log.1 is not taken"
        time.sleep(0.005)
    return found


os.path.exists = look
handler = logging.handlers.RotatingFileHandler("logs/app.log", maxBytes=10, backupCount=2)
logger = logging.getLogger("app")
logger.addHandler(handler)
for number in range(1, 4):
    logger.warning("line %d", number)
