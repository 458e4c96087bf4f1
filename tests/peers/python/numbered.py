"""RotatingFileHandler as it is, which counts names without .gz. Rotates when app.log.1 was taken away from it."""

import logging.handlers
import os
import time

handler = logging.handlers.RotatingFileHandler("logs/app.log", maxBytes=1_000_000, backupCount=2)
logger = logging.getLogger("app")
logger.addHandler(handler)
number = 0
for rotation in range(6):
    for _ in range(10):
        number += 1
        logger.warning("line %d", number)
    handler.doRollover()
    end = time.monotonic() + 60
    while os.path.exists("logs/app.log.1"):
        assert time.monotonic() < end, "app.log.1 is not taken"
        time.sleep(0.005)
