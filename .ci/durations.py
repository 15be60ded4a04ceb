"""Print the slowest tests of a run, and fail if one took longer than its budget.

Usage: durations.py SECONDS REPORT, where REPORT is pytest's --junitxml with junit_duration_report = call.
"""

import sys
from xml.etree import ElementTree as ET

budget, report = float(sys.argv[1]), sys.argv[2]
cases = [
    (float(case.get("time", 0)), f"{case.get('classname')}::{case.get('name')}")
    for case in ET.parse(report).iter("testcase")  # noqa: S314 - pytest has just written it
]
for seconds, name in sorted(cases, reverse=True)[:15]:
    print(f"{seconds:7.1f} s  {name}")  # noqa: T201
print(f"{sum(seconds for seconds, _ in cases):7.1f} s  {len(cases)} tests, without what they share")  # noqa: T201
if late := [name for seconds, name in cases if seconds > budget]:
    sys.exit(f"expected at most {budget:g} s of each test: {', '.join(late)}")
