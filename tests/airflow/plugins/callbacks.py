"""What Airflow's triggerer calls when a deadline was missed. (The DAGs' folder cannot be imported there.)"""

import logging


async def deadline_missed(**told):
    logging.getLogger(__name__).warning("a deadline was missed: %s", sorted(told))
