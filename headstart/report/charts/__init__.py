"""Charts as inline SVG, written by hand: small, and crisp at any size.

The page's style sheet colours them, so that they follow light and dark. Every chart is a function that returns a Markup of one <svg> with
a text alternative; all names are escaped.
Colours are the classes s1 to s4 of report.css, and series differ in dashes or marks too, so that no meaning hangs on colour alone.
"""

from headstart.report.charts.curves import Series, lines
from headstart.report.charts.marks import KINDS, Mark, key, marks
from headstart.report.charts.paper import Axis
from headstart.report.charts.rows import ladder, stacks, whiskers
from headstart.report.charts.scatter import Dot, dots, reliability

__all__ = ["KINDS", "Axis", "Dot", "Mark", "Series", "dots", "key", "ladder", "lines", "marks", "reliability", "stacks", "whiskers"]
