"""The typed schema of params.yaml: one block per stage.

Each field has a default, bounds, a unit and a sentence.
The same models check params.yaml, the `--set` option and the form in the Prefect UI.
"""

from headstart.params.adapt import Adapt as Adapt
from headstart.params.aim import Aim as Aim
from headstart.params.augmentation import Augmentation as Augmentation
from headstart.params.augmentation import MeasuredAugmentation as MeasuredAugmentation
from headstart.params.batches import CompareBatches as CompareBatches
from headstart.params.block import Block as Block
from headstart.params.blocks import STAGES as STAGES
from headstart.params.blocks import Aimed as Aimed
from headstart.params.blocks import Baseline as Baseline
from headstart.params.blocks import Evaluate as Evaluate
from headstart.params.blocks import FineTune as FineTune
from headstart.params.blocks import IndexImages as IndexImages
from headstart.params.blocks import Params as Params
from headstart.params.blocks import Repeats as Repeats
from headstart.params.blocks import Report as Report
from headstart.params.blocks import Seeded as Seeded
from headstart.params.blocks import Shared as Shared
from headstart.params.blocks import TrainHead as TrainHead
from headstart.params.blocks import ValidateData as ValidateData
from headstart.params.blocks import Verdict as Verdict
from headstart.params.choosing import Candidates as Candidates
from headstart.params.choosing import Published as Published
from headstart.params.choosing import Race as Race
from headstart.params.choosing import SelectSource as SelectSource
from headstart.params.file import PATH as PATH
from headstart.params.file import check as check
from headstart.params.file import kwargs as kwargs
from headstart.params.file import load as load
from headstart.params.file import parse as parse
from headstart.params.file import set_values as set_values
from headstart.params.file import would_be as would_be
from headstart.params.file import write as write
from headstart.params.grouping import GroupImages as GroupImages
from headstart.params.wording import allowed as allowed
from headstart.params.wording import describe as describe
