"""One file per pipeline stage: read files, call the library, write files.

Run one with `python -m tasks.<stage>`.
"""

from headstart.machinery.malloc import keep_freed
from tasks.sharing import handing

keep_freed()  # the first thing that a stage does
handing.take_over()  # and the second
