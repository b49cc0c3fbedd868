"""Multimodal tasks whose best possible score is known, as files; `pipelines/NAME.yaml` reads them.

python -m mmdata.testing.systems sentiment data/sentiment
python -m mmdata.testing.systems patients data/patients --n 500 --seed 3 --noise
"""

from mmdata.testing.systems.clips import CLIPS
from mmdata.testing.systems.news import NEWS
from mmdata.testing.systems.patients import PATIENTS
from mmdata.testing.systems.sentiment import SENTIMENT
from mmdata.testing.systems.worlds import Drawn, System, World

SYSTEMS = {system.name: system for system in (SENTIMENT, NEWS, CLIPS, PATIENTS)}

__all__ = ["SYSTEMS", "Drawn", "System", "World"]
